"""Protective tags that several pushes need: pushes that merge the same images into a tag write one (BEHAVIOUR 4.8)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import msgspec

from tasks import contract
from tasks.errors import NotFound
from tasks.registry.repository import Repository
from tasks.transfer.ports import LEFT, Protections, TagIntent


class NeedRecords(Protections, Protocol):
    """The needs of pushes, and by what an ended push is known to need nothing any more."""

    def report(self, push_id: str) -> contract.PushReport | None:
        """Return the report of a push, None before its end."""
        ...

    def intents(self, push_id: str) -> dict[str, TagIntent]:
        """Return the last intent of a push at each tag."""
        ...


class _NoRecord:
    """The needs of pushes that nobody notes."""

    def note_need(self, reference: str, push_id: str) -> None: ...

    def drop_need(self, reference: str, push_id: str) -> None: ...

    def needs(self, reference: str) -> set[str]:
        del reference
        return set()

    def report(self, push_id: str) -> None:
        del push_id

    def intents(self, push_id: str) -> dict[str, TagIntent]:
        del push_id
        return {}


class Sharing(msgspec.Struct, frozen=True):
    """The protective tags that one push needs, by their full names.

    Whoever notes or drops a need holds the lock of the tag for which the protective tag was made.
    """

    needs: NeedRecords
    push_id: str

    def need(self, reference: str) -> bool:
        """Note that the push needs a protective tag; tell whether another push needs it too, or left it to this one.

        A push whose worker is killed may have noted no more than its need when the one that made the tag gives it up.
        """
        self.needs.note_need(reference, self.push_id)
        known = self.needs.needs(reference)
        return LEFT in known or self._is_shared(reference, known)

    def give_up(self, reference: str) -> bool:
        """Note that the push needs a protective tag that it made no longer, and tell whether another push needs it."""
        self.needs.drop_need(reference, self.push_id)
        known = self.needs.needs(reference)
        is_shared = self._is_shared(reference, known)
        if is_shared:
            self.needs.note_need(reference, LEFT)
        elif LEFT in known:
            self.needs.drop_need(reference, LEFT)
        return is_shared

    def is_shared(self, reference: str) -> bool:
        """Tell whether another push needs a protective tag."""
        return self._is_shared(reference, self.needs.needs(reference))

    def is_needed_again(self, reference: str) -> bool:
        """Tell whether another push needs a protective tag, or another delivery of this one has begun to need it."""
        known = self.needs.needs(reference)
        return self._is_shared(reference, known) or (self.push_id in known and self.keeps(reference))

    def keeps(self, reference: str) -> bool:
        """Tell whether this push made a tag what a protective tag holds, or is under way."""
        return self._still_needs(self.push_id, reference)

    def _is_shared(self, reference: str, known: set[str]) -> bool:
        return any(self._still_needs(push_id, reference) for push_id in known - {self.push_id, LEFT})

    def _still_needs(self, push_id: str, reference: str) -> bool:
        """Tell whether a push is under way, or made a tag what the protective tag holds.

        A delivery that stood still may note a need after its push has ended.
        """
        if self.needs.report(push_id) is None:
            return True
        repository, _, tag = reference.rpartition(":")
        intents = self.needs.intents(push_id).items()
        ours = (each for name, each in intents if each.changes and name.rpartition(":")[0] == repository)
        return any(tag == each.protective_tag or tag in each.overtaken for each in ours)


ALONE = Sharing(_NoRecord(), "")


@contextmanager
def deleting(repository: Repository, tag: str, is_shared: Callable[[], bool]) -> Iterator[None]:
    """Write a protective tag again if another push began to need it while it was being deleted.

    The process may stand still in between, for longer than the lease of its lock.
    """
    try:
        kept = repository.fetch_manifest(tag)
    except NotFound:
        kept = None
    yield
    if kept is not None and is_shared():
        repository.push_manifest(tag, kept.content, kept.media_type)
