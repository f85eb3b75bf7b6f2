"""Write several tags of a release with one request, where the registry can (BEHAVIOUR 10.1).

All rules of a single write hold for each tag: its intent is noted, its lock is held, it is looked at before the request
and after it. A tag that does not hold the manifest afterwards is left to be written alone.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Final

import msgspec

from tasks.errors import RegistryError
from tasks.transfer.ports import TagIntent, TagLock
from tasks.transfer.publish.moved import Moved
from tasks.transfer.publish.release_member import Member, stopping
from tasks.transfer.publish.stage import Staged

LOG: Final = logging.getLogger(__name__)
# More tags would make a long URL, which servers before a registry may refuse.
_MOST: Final = 10


class Flip(msgspec.Struct, frozen=True):
    """One tag that is to be written: its intent is noted, its lock is held."""

    member: Member
    lock: TagLock
    staged: Staged
    intent: TagIntent

    def begin(self) -> bool:
        """Look at the tag before the request; return False if someone else wrote it meanwhile."""
        with stopping(self.member):
            return self.member.move.begin(self.lock, self.staged)

    def end(self) -> Moved | None:
        """Look at the tag after the request; return None if it does not hold the manifest."""
        with stopping(self.member):
            return self.member.move.end(self.lock, self.staged, self.intent)


def groups(flips: Iterable[Flip]) -> Iterator[Sequence[Flip]]:
    """Yield the tags that one request can write: those of one repository that get the same manifest."""
    alike: defaultdict[tuple[str, str, str], list[Flip]] = defaultdict(list)
    for flip in flips:
        decision = flip.staged.decision
        if flip.member.move.repository.may_tag_together is not False:
            alike[str(flip.member.move.repository), decision.digest, decision.media_type].append(flip)
    for group in alike.values():
        parts = (group[start : start + _MOST] for start in range(0, len(group), _MOST))
        yield from (part for part in parts if len(part) > 1)


def write(group: Sequence[Flip], executor: Executor) -> dict[str, Moved]:
    """Write the tags of a group; return the moves, by key, of those that hold their manifest afterwards."""
    begun = [flip for flip, is_as_read in zip(group, executor.map(Flip.begin, group), strict=True) if is_as_read]
    if not begun:
        return {}
    decision, repository = begun[0].staged.decision, begun[0].member.move.repository
    tags = [flip.member.tag.reference.identifier for flip in begun]
    try:
        if not repository.tag_together(tags, decision.digest, decision.content, decision.media_type):
            return {}
    except RegistryError as error:
        LOG.warning("%s: %s are written one by one: %s", repository, ", ".join(tags), error)
    ended = zip(begun, executor.map(Flip.end, begun), strict=True)
    return {flip.member.key: moved for flip, moved in ended if moved is not None}
