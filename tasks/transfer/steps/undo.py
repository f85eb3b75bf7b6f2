"""The undo step: undo a push, release by release, and its other tags one by one (BEHAVIOUR 6.6, 10.7)."""

from collections.abc import Iterator
from functools import partial

import msgspec

from tasks import contract
from tasks.registry.repository import Registries
from tasks.transfer.ports import PublishLedger, TagIntent, TagLocks
from tasks.transfer.publish.records import LedgerContents, LedgerJournal
from tasks.transfer.publish.undo_release import ReleaseUndo, releases_of
from tasks.transfer.undo.preview_undo import preview_undo
from tasks.transfer.undo.sharing import Sharing
from tasks.transfer.undo.undo import undo
from tasks.transfer.undo.undo_result import state_of


class UndoStep(msgspec.Struct, frozen=True, kw_only=True):
    """The step that undoes a push."""

    registries: Registries
    ledger: PublishLedger
    locks: TagLocks

    def preview(self, push_id: str, *, leave_moved: bool = False) -> contract.Undo:
        """Return the result that an undo would have for each tag; writes nothing."""
        releases = list(self._releases(push_id, leave_moved=leave_moved))
        parts = [release.preview() for release in releases]
        loose = self._loose(push_id, releases)
        if loose or not parts:
            parts.append(preview_undo(push_id, loose, self.registries, self.ledger.hold_of))
        return _together(push_id, parts)

    def run(self, push_id: str, *, leave_moved: bool = False) -> contract.Undo:
        """Put the tags of a push back; raises LockLost, LockUnavailable, StateUnavailable."""
        self.ledger.mark_undone(push_id, "begun")
        releases = list(self._releases(push_id, leave_moved=leave_moved))
        parts = [release.run() for release in releases]
        loose = self._loose(push_id, releases)
        if loose or not parts:
            kept = partial(self.ledger.content, push_id)
            hold_of, sharing = self.ledger.hold_of, Sharing(self.ledger, push_id)
            parts.append(undo(push_id, loose, self.registries, self.locks, kept, hold_of, sharing))
        undone = _together(push_id, parts)
        self.ledger.mark_undone(push_id, undone.state)
        for tag in undone.tags:
            if tag.action in {"restored", "deleted"}:
                self.ledger.note_undone(tag.reference, push_id)
        return undone

    def _releases(self, push_id: str, *, leave_moved: bool) -> Iterator[ReleaseUndo]:
        for name, references in releases_of(self.ledger.plan(push_id)):
            yield ReleaseUndo(
                push_id=push_id,
                references=references,
                registries=self.registries,
                locks=self.locks,
                journal=LedgerJournal(self.ledger, push_id, f"undo of {name}"),
                contents=LedgerContents(self.ledger, push_id),
                intents=partial(self._intents, push_id, frozenset(references)),
                hold_of=self.ledger.hold_of,
                leave_moved=leave_moved,
                sharing=Sharing(self.ledger, push_id),
            )

    def _intents(self, push_id: str, references: frozenset[str]) -> dict[str, TagIntent]:
        return {name: intent for name, intent in self._changes(push_id).items() if name in references}

    def _loose(self, push_id: str, releases: list[ReleaseUndo]) -> dict[str, TagIntent]:
        """Return the intents at tags outside of any release."""
        released = {name for release in releases for name in release.references}
        return {name: intent for name, intent in self._changes(push_id).items() if name not in released}

    def _changes(self, push_id: str) -> dict[str, TagIntent]:
        """Return the intents at all tags but those that a try of a release put back, and no later try changed."""
        return {name: intent for name, intent in self.ledger.intents(push_id).items() if intent.changes}


def _together(push_id: str, parts: list[contract.Undo]) -> contract.Undo:
    tags = [tag for part in parts for tag in part.tags]
    return contract.Undo(push_id=push_id, state=state_of(tags), tags=tags)
