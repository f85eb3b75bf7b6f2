"""Errors of a push as a whole: how it ended, or why it stopped."""

from typing import Any

from tasks.errors.base import ImagePusherError, Retry, Side


class PushFailed(ImagePusherError, RuntimeError):
    """A part of the push failed; `report` is the report of the push."""

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
    advice = "Check that workers serve all three queues. Then push again: what is done stays done."


class PushAbandoned(ImagePusherError):
    """A task of the push ended its worker each time that it was delivered."""

    code = "abandoned"
    side = Side.WORKER
    advice = "Check the log and the memory limit of the workers that ended. Then push again."


class PushUndone(ImagePusherError):
    """The push was undone while it was under way."""

    code = "undone"
    advice = "The tag was not moved."


class PushCancelledByUser(ImagePusherError):
    """Somebody cancelled the push."""

    code = "cancelled_by_user"
    advice = "The tag was not moved."


class PushCancelled(ImagePusherError):
    """The worker is shutting down, and the task goes back to the queue."""

    code = "cancelled"
    advice = "The task goes back to the queue."
    side = Side.WORKER
    retry = Retry.GIVE_BACK
    retry_after = 0.0
