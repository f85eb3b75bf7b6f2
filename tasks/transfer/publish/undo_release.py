"""Undo a release: all of its tags, or none (BEHAVIOUR 10.7).

The undo is a release backward: all tags are locked at once, each is looked at, and a journal holds the direction
before each step. If a tag cannot be put back, the others get the manifests of the release again.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from tasks import contract
from tasks.errors import ImagePusherError, LockLost, NotFound, Side, Withheld
from tasks.oci.digest import Digest
from tasks.oci.document import media_type_of
from tasks.oci.reference import Reference
from tasks.registry.repository import Registries
from tasks.transfer.plan.plan import Plan
from tasks.transfer.ports import NO_TAG, TagIntent, TagLocks
from tasks.transfer.publish.held_locks import HeldLocks
from tasks.transfer.publish.journal import Journal
from tasks.transfer.undo.mark import HoldOf, nobody_holds
from tasks.transfer.undo.preview_undo import preview_undo
from tasks.transfer.undo.sharing import ALONE, Sharing
from tasks.transfer.undo.undo import undo
from tasks.transfer.undo.undo_result import state_of

LOG: Final = logging.getLogger(__name__)
_LOCKS: Final = 4

Intents = Mapping[str, TagIntent]


class Contents(Protocol):
    """The kept bytes of manifests, by their digest."""

    def read(self, digest: str) -> bytes | None:
        """Return the bytes of a manifest, None if they are not kept."""
        ...

    def keep(self, digest: Digest, content: bytes) -> None:
        """Keep the bytes of a manifest."""
        ...


def releases_of(plan: Plan | None) -> list[tuple[str, list[str]]]:
    """Return the releases of a push, each with its name and the full names of its tags; each tag is in one release."""
    if plan is None or plan.atomic is None:
        return []
    items = [[str(tag.reference) for tag in item.tags] for item in plan.items]
    if plan.atomic == "push":
        return [("push", sorted({name for names in items for name in names}))]
    seen: set[str] = set()
    releases = []
    for number, names in enumerate(items):
        own = sorted(set(names) - seen)
        seen.update(own)
        releases.append((f"item {number}", own))
    return releases


@dataclass(frozen=True, kw_only=True)
class ReleaseUndo:
    """The undo of one release; `intents` reads those of its tags, `leave_moved` accepts tags that others moved."""

    push_id: str
    references: Sequence[str]
    registries: Registries
    locks: TagLocks
    journal: Journal
    contents: Contents
    intents: Callable[[], Intents]
    hold_of: HoldOf = nobody_holds
    leave_moved: bool = False
    sharing: Sharing = ALONE

    def preview(self) -> contract.Undo:
        """Return the result that `run` would have; writes nothing."""
        intents = self.intents()
        looked = self._look(intents)
        stuck = self._stuck(looked)
        return self._kept(intents, looked, stuck) if stuck else looked

    def run(self) -> contract.Undo:
        """Put all tags back, or none; raises LockLost, LockUnavailable, StateUnavailable."""
        for _ in range(_LOCKS):
            try:
                return self._run()
            except LockLost as error:
                LOG.warning("Taking the release back is begun again: %s", error)
                lost = error
        raise lost

    def _run(self) -> contract.Undo:
        with ExitStack() as stack:
            held = {name: stack.enter_context(self.locks.hold(name)) for name in self.references}
            locks = HeldLocks(held, self.locks)
            # Read under the locks: a delivery that was still moving these tags has ended.
            intents = self.intents()
            direction = self.journal.read()
            looked = self._look(intents)
            if direction == "forward":
                return self._forward(locks, intents, looked, _stuck_tags(looked))
            stuck = self._stuck(looked)
            if direction != "back":
                stuck = stuck or self._keep_new(intents, looked)
                if stuck:
                    return self._kept(intents, looked, stuck)
            self.journal.note("back")
            kept, sharing = self.contents.read, self.sharing
            undone = undo(self.push_id, intents, self.registries, locks, kept, self.hold_of, sharing)
            failed = [tag for tag in undone.tags if tag.action == "failed"]
            for lock in held.values():
                lock.ensure()
            if failed:
                return self._forward(locks, intents, undone, failed)
            self.journal.note("stands")
            return undone

    def _look(self, intents: Intents) -> contract.Undo:
        return preview_undo(self.push_id, intents, self.registries, self.hold_of)

    def _stuck(self, looked: contract.Undo) -> list[contract.TagUndo]:
        """Return the tags that keep the whole release from being put back."""
        borne = {"moved"} if self.leave_moved else set()
        return [tag for tag in _stuck_tags(looked) if tag.action not in borne]

    def _keep_new(self, intents: Intents, looked: contract.Undo) -> list[contract.TagUndo]:
        """Keep the bytes of the release's manifests, so that tags can get them again; return the tags without bytes."""
        stuck = []
        for tag in looked.tags:
            if tag.action == "moved":
                continue
            reference, digest = Reference.parse(tag.reference), intents[tag.reference].new_digest
            try:
                repository = self.registries.repository(*reference.place, "destination", push=True)
                self.contents.keep(digest, repository.fetch_manifest(digest).content)
            except NotFound:
                # The tag was put back before, and the registry has dropped the manifest since.
                continue
            except ImagePusherError as error:
                fault = contract.Fault.of(error.on(Side.DESTINATION))
                stuck.append(contract.TagUndo(reference=tag.reference, action="failed", error=fault))
        return stuck

    def _forward(
        self, locks: TagLocks, intents: Intents, undone: contract.Undo, failed: Sequence[contract.TagUndo]
    ) -> contract.Undo:
        """Give the tags the manifests of the release again, and return the reasons."""
        LOG.warning("Push %s: the release is not taken back: %d tags cannot be put back", self.push_id, len(failed))
        self.journal.note("forward")
        again = undo(self.push_id, self._inverted(intents), self.registries, locks, self.contents.read)
        left = [tag for tag in again.tags if tag.action == "failed"]
        if not left:
            self.journal.note("stands")
        return self._kept(intents, undone, [*failed, *(tag for tag in left if tag.reference in intents)])

    def _inverted(self, intents: Intents) -> dict[str, TagIntent]:
        """Return, by tag, the intents that lead from the old manifests to those of the release."""
        inverted = {}
        for name, intent in intents.items():
            inverted[name] = self._again(intent.new_digest, instead_of=intent.old_digest)
            reference = Reference.parse(name)
            for tag, digest in intent.beside().items():
                beside = Reference(reference.registry, reference.repository, tag)
                self.sharing.need(str(beside))
                inverted[str(beside)] = self._again(digest, instead_of=None)
        return inverted

    def _again(self, digest: Digest, *, instead_of: Digest | None) -> TagIntent:
        """Return the intent whose undo makes a tag hold a digest."""
        content = self.contents.read(digest)
        media_type = "" if content is None else media_type_of(content, None)
        return TagIntent(action="copied", old_digest=digest, old_media_type=media_type, new_digest=instead_of or NO_TAG)

    def _kept(self, intents: Intents, looked: contract.Undo, stuck: Sequence[contract.TagUndo]) -> contract.Undo:
        """Return the result of an undo in which some tags make all tags keep the manifests of the release."""
        reasons = {tag.reference: tag for tag in stuck}
        fault = contract.Fault.of(_withheld(stuck))

        def kept(tag: contract.TagUndo) -> contract.TagUndo:
            held = intents[tag.reference].new_digest
            return msgspec.structs.replace(tag, action="skipped", digest=held, error=fault)

        tags = [reasons.get(tag.reference) or (tag if tag.action == "moved" else kept(tag)) for tag in looked.tags]
        return contract.Undo(push_id=self.push_id, state=state_of(tags), tags=tags)


def _withheld(stuck: Sequence[contract.TagUndo]) -> Withheld:
    """Return the error of the tags that stay because of others, with what an operator can do."""
    names = ", ".join(tag.reference for tag in stuck)
    if all(tag.action == "moved" for tag in stuck):
        error = Withheld(f"The release stays as it is: someone else has moved {names}.")
        error.advice = "`undo --leave-moved` takes back the rest."
    else:
        error = Withheld(f"The release stays as it is: {names} cannot be put back.")
        error.advice = "Fix that and undo again."
    return error


def _stuck_tags(looked: contract.Undo) -> list[contract.TagUndo]:
    return [tag for tag in looked.tags if tag.action in {"failed", "moved"}]
