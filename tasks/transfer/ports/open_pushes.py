"""The pushes whose result has not been stored."""

from typing import Protocol

from tasks.transfer.ports.records import OpenPush


class Listing(Protocol):
    """Membership in the open pushes."""

    def is_open(self, push_id: str) -> bool:
        """Tell whether the result of a push is not stored yet, as far as is known."""
        ...

    def list_again(self, push_id: str) -> None:
        """Add a push to the open pushes again."""
        ...


class OpenPushes(Listing, Protocol):
    """The open pushes: those whose result has not been stored."""

    def open_pushes(self) -> list[OpenPush]:
        """Return all open pushes."""
        ...

    def open_ages(self) -> list[float]:
        """Return for each open push the seconds since it was accepted."""
        ...

    def overlooked(self) -> list[OpenPush]:
        """Return the pushes that have not ended but are missing from the open pushes, which should never happen.

        Pushes whose record has expired are forgotten.
        """
        ...

    def note_drive(self, push: OpenPush) -> None:
        """Count one drive of a push by the watchdog."""
        ...

    def close(self, push: OpenPush) -> None:
        """Note that the result of a push has been stored for its tasks; it stays open if another task came since."""
        ...
