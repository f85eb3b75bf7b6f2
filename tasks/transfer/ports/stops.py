"""Pushes that are to move no further tag: undone or cancelled ones."""

from typing import Protocol

from tasks.transfer.ports.records import UndoState


class Undos(Protocol):
    """Pushes that are being undone."""

    def mark_undone(self, push_id: str, state: UndoState) -> None:
        """Note that the undo of a push began, or how it ended: no further tag of the push moves."""
        ...

    def undo_state(self, push_id: str) -> UndoState | None:
        """Return the state of the undo of a push, None if no undo began."""
        ...

    def is_undone(self, push_id: str) -> bool:
        """Tell whether an undo of the push began, however it ended."""
        ...


class SpentTasks(Protocol):
    """Tasks whose messages no worker takes: Celery forgets what was revoked when its workers end."""

    def is_spent(self, task_id: str) -> bool:
        """Tell whether a task was revoked before any worker took its message, or is an undo that has ended."""
        ...

    def mark_spent(self, task_id: str) -> None:
        """Note that no worker is to take a message of this task any more."""
        ...


class Cancellation(Protocol):
    """Cancelled pushes."""

    def is_cancelled(self, push_id: str) -> bool:
        """Tell whether the push is to stop: its copies end, and no further tag of it moves."""
        ...
