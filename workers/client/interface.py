"""The interface of a client of pushes, with or without a broker."""

from typing import Any, Protocol

from tasks import contract
from workers.client.followed import Follow


class Client(Protocol):
    """A client of a broker's workers, or of the pushes of this process."""

    embedded: bool
    drops_passwords: bool

    def send(self, request: dict[str, Any], push_id: str) -> None:
        """Enqueue a push."""
        ...

    def wait(self, push_id: str, follow: Follow | None = None) -> contract.PushReport:
        """Wait for the end of a push and return its report, failed or not; raises ImagePusherError without a report."""
        ...

    def progress(self, push_id: str) -> contract.Progress:
        """Return the progress of a push; raises PushUnknown."""
        ...

    def report(self, push_id: str) -> contract.PushReport | None:
        """Return the report of a push that ended; raises PushUnknown."""
        ...

    def pushes(self) -> list[contract.Progress]:
        """Return the pushes of the ledger, the newest first."""
        ...

    def preview(self, request: dict[str, Any]) -> contract.Preview:
        """Return the preview of a push."""
        ...

    def verify(self, push_id: str) -> contract.Verification:
        """Compare the destinations with the report of a push; raises PushUnknown."""
        ...

    def undo(self, push_id: str, *, leave_moved: bool = False) -> contract.Undo:
        """Restore the tags of a push; raises PushUnknown.

        With `leave_moved`, a release is undone except for the tags that someone else has moved since.
        """
        ...

    def preview_undo(self, push_id: str, *, leave_moved: bool = False) -> contract.Undo:
        """Return the preview of `undo`; raises PushUnknown."""
        ...
