"""The intents of a push at one tag, as a move needs them."""

from typing import Protocol

from tasks.transfer.plan.decide import Current
from tasks.transfer.ports import TagIntent


class IntentLog(Protocol):
    """The intents of one push at one tag, as the ledger keeps them."""

    def read(self) -> TagIntent | None:
        """Return the last intent that was noted."""
        ...

    def note(self, intent: TagIntent, replaced: Current | None, known: TagIntent | None) -> None:
        """Note an intent, and the bytes of the replaced manifest; may forbid the write by raising.

        `known` is the last intent that the caller knows of. Raises LockLost if another one was noted since: it stays.
        """
        ...

    def ensure_open(self) -> None:
        """Raise PartBusy if another delivery, or the watchdog, ended the push."""
        ...

    def ensure_wanted(self) -> None:
        """Raise PushUndone if an undo of the push began."""
        ...
