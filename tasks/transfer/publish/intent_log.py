"""The intents of a push at one tag, as a move needs them."""

from typing import Protocol

from tasks.transfer.plan.decide import Current
from tasks.transfer.ports import TagIntent


class IntentLog(Protocol):
    """The intents of one push at one tag, as the ledger keeps them."""

    @property
    def push_id(self) -> str:
        """The push."""
        ...

    def read(self) -> TagIntent | None:
        """Return the last intent that was noted."""
        ...

    def note(self, intent: TagIntent, replaced: Current | None, known: TagIntent | None) -> None:
        """Note an intent, and the bytes of the replaced manifest; may forbid the write by raising.

        `known` is the last intent that the caller knows of. Raises LockLost if another one was noted since: it stays.
        """
        ...

    def need(self, tag: str) -> bool:
        """Note that the push needs a protective tag beside the tag, and tell whether another push needs it too."""
        ...

    def give_up(self, tag: str) -> bool:
        """Note that the push needs a protective tag no longer, and tell whether another push needs it."""
        ...

    def is_needed_again(self, tag: str) -> bool:
        """Tell whether another push needs a protective tag, or another delivery of this one has begun to need it."""
        ...

    def is_needed(self, tag: str) -> bool:
        """Tell whether any push needs a protective tag, or this one does, which has ended."""
        ...

    def ensure_open(self) -> None:
        """Raise PartBusy if another delivery, or the watchdog, ended the push."""
        ...

    def ensure_settled(self) -> None:
        """Raise LockUnavailable, which is waited for, if a release of another push may put the tag back."""
        ...

    def ensure_wanted(self) -> None:
        """Raise PushUndone if an undo of the push began."""
        ...
