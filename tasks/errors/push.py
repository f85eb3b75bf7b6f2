"""Errors of a push as a whole: how it ended, and why it stopped."""

from typing import Any

from tasks.errors.base import ImagePusherError, Retry, Side


class PushFailed(ImagePusherError, RuntimeError):
    """Some part of the push failed; carries the report."""

    code = "push_failed"

    def __init__(self, message: str, report: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.report = report or {}
        self.args = (message, self.report)


class PushUnknown(ImagePusherError):
    """The ledger has no such push."""

    code = "push_unknown"
    advice = "`imagepusher status` lists the pushes that are remembered."


class PushUnfinished(ImagePusherError):
    """The push has no report yet."""

    code = "push_unfinished"


class PushStalled(ImagePusherError):
    """The push makes no progress, even after its tasks were sent again."""

    code = "stalled"
    side = Side.STATE
    advice = "Look whether workers serve all three queues, then push again: what is done is not done again."


class PushAbandoned(ImagePusherError):
    """A task of the push ended its worker at each delivery."""

    code = "abandoned"
    side = Side.WORKER
    advice = "Look at the log, and at the memory limit, of the workers that ended; then push again."


class PushUndone(ImagePusherError):
    """The push was undone while it was under way."""

    code = "undone"
    advice = "The tag was not moved."


class PushCancelledByUser(ImagePusherError):
    """Somebody cancelled the push."""

    code = "cancelled_by_user"
    advice = "The tag was not moved. Push again to complete it."


class PushCancelled(ImagePusherError):
    """The worker is shutting down; the task goes back to the queue."""

    code = "cancelled"
    advice = "The task goes back to the queue."
    side = Side.WORKER
    retry = Retry.GIVE_BACK
    retry_after = 0.0
