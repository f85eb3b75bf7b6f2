"""The intents and the journal of a push, in the ledger."""

from collections.abc import Sequence
from typing import Final

import msgspec

from tasks import contract
from tasks.errors import LockLost, LockUnavailable, PartBusy, PushUndone, Retry
from tasks.oci.digest import Digest
from tasks.transfer.plan.decide import Current
from tasks.transfer.ports import PublishLedger, TagIntent
from tasks.transfer.publish.journal import Direction
from tasks.transfer.undo.sharing import Sharing

_PAUSE: Final = 10.0


class LedgerJournal:
    """The direction of one release, in the ledger, as one delivery knows it."""

    def __init__(self, ledger: PublishLedger, push_id: str, name: str) -> None:
        self.ledger = ledger
        self.push_id = push_id
        self.name = name
        self._known: str | None = None

    def read(self) -> Direction | None:
        self._known = self.ledger.release(self.push_id, self.name)
        return None if self._known is None else msgspec.convert(self._known, Direction)

    def again(self) -> Direction | None:
        known, found = self._known, self.read()
        if self._known != known:
            raise self._overtaken()
        return found

    def note(self, direction: Direction, why: str = "") -> None:
        """Note the direction; raises LockLost if another delivery noted one since: it stays.

        Between the look at the locks and this, the process may stand still, and another delivery may end the release.
        """
        known = [each for each in (self._known, direction) if each is not None]
        before = self.ledger.note_release(self.push_id, self.name, direction, known)
        if before is not None and before not in known:
            raise self._overtaken()
        self._known = direction
        if why:
            self.ledger.note_release(self.push_id, self._why, why)

    def _overtaken(self) -> LockLost:
        return LockLost(f"Another delivery of the push {self.push_id} went on with its release meanwhile.")

    def claim(self, references: Sequence[str]) -> None:
        for reference in references:
            ensure_settled(self.ledger, self.push_id, reference)
        for reference in references:
            self.ledger.note_release_at(reference, self.push_id, self.name)

    def why(self) -> str:
        return self.ledger.release(self.push_id, self._why) or ""

    @property
    def _why(self) -> str:
        return f"why {self.name} goes back"


def ensure_settled(ledger: PublishLedger, push_id: str, reference: str) -> None:
    """Raise LockUnavailable, which is waited for, if a release of another push may put back what a tag holds.

    Its worker is gone, or its registry does not serve: the release holds no lock, and has not ended.
    """
    release = ledger.release_at(reference)
    if release is None or release.push_id == push_id or not release.is_under_way:
        return
    error = LockUnavailable(
        f"The tag {reference} is being moved by the release of the push {release.push_id}, which has not ended.", _PAUSE
    )
    error.retry = Retry.WAIT
    error.advice = (
        f"Where workers run, they end it. After an interrupted command `imagepusher retry {release.push_id}` does."
    )
    raise error


class LedgerContents(msgspec.Struct, frozen=True):
    """The bytes of manifests that a push keeps, in the ledger."""

    ledger: PublishLedger
    push_id: str

    def read(self, digest: str) -> bytes | None:
        return self.ledger.content(self.push_id, digest)

    def keep(self, digest: Digest, content: bytes) -> None:
        self.ledger.keep_content(self.push_id, digest, content)


class LedgerIntents(msgspec.Struct, frozen=True):
    """The intents of one push at one tag, in the ledger."""

    ledger: PublishLedger
    push_id: str
    reference: str

    def read(self) -> TagIntent | None:
        return self.ledger.intent(self.push_id, self.reference)

    def note(self, intent: TagIntent, replaced: Current | None, known: TagIntent | None) -> None:
        """Note an intent; raises PushUndone if an undo of the push began, and LockLost for an intent that is not known.

        Between the look at the lock and this, the process may stand still, and another delivery may move the tag.
        """
        if "@" in self.reference:
            # A write under a digest overwrites nothing; an undo would also delete tags that others gave the manifest.
            return
        if replaced is not None and replaced.content:
            self.ledger.keep_content(self.push_id, replaced.digest, replaced.content)
        ours = [each for each in (known, intent) if each is not None]
        earlier = self.ledger.record_intent(self.push_id, self.reference, intent, ours)
        if earlier is not None and earlier not in ours:
            raise LockLost(f"Another delivery of the push moved {self.reference} meanwhile.")
        # In this order, an undo that begins now is either seen here, or sees the intent and waits for the tag.
        self.ensure_wanted()

    def need(self, tag: str) -> bool:
        """Note that the push needs a protective tag beside the tag, and tell whether another push needs it too."""
        return self._sharing.need(self._beside(tag))

    def give_up(self, tag: str) -> bool:
        """Note that the push needs a protective tag no longer, and tell whether another push needs it."""
        return self._sharing.give_up(self._beside(tag))

    def is_needed_again(self, tag: str) -> bool:
        """Tell whether another push needs a protective tag, or another delivery of this one has begun to need it."""
        return self._sharing.is_needed_again(self._beside(tag))

    def is_needed(self, tag: str) -> bool:
        """Tell whether any push needs a protective tag, or this one does, which has ended."""
        sharing, beside = self._sharing, self._beside(tag)
        return sharing.is_shared(beside) or (not self._has_failed() and sharing.keeps(beside))

    def _has_failed(self) -> bool:
        """Tell whether the push ended, and did not move the tag."""
        report = self.ledger.report(self.push_id)
        tags = [tag for item in report.items for tag in item.tags] if report is not None else []
        own = [tag for tag in tags if tag.reference == self.reference]
        return bool(own) and all(contract.is_failure(tag) for tag in own)

    @property
    def _sharing(self) -> Sharing:
        return Sharing(self.ledger, self.push_id)

    def _beside(self, tag: str) -> str:
        """Return the full name of another tag of the repository."""
        return f"{self.reference.rpartition(':')[0]}:{tag}"

    def ensure_open(self) -> None:
        """Raise PartBusy if another delivery, or the watchdog, ended the push."""
        if self.ledger.report(self.push_id) is not None:
            raise PartBusy(f"The push {self.push_id} ended before this delivery moved {self.reference}.")

    def ensure_settled(self) -> None:
        """Raise LockUnavailable, which is waited for, if a release of another push may put the tag back."""
        ensure_settled(self.ledger, self.push_id, self.reference)

    def ensure_wanted(self) -> None:
        """Raise PushUndone if an undo of the push began."""
        if self.ledger.is_undone(self.push_id):
            raise PushUndone(f"The push {self.push_id} was taken back before {self.reference} was moved.")
