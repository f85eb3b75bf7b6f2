"""Celery's consumer, which drops what it cannot take, and is not ended by what is no task.

Celery would store a failure for a message of an unknown task: the sender chooses its id, which could be that of a push.
And it would log the body of what it drops, which may hold credentials.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from celery.worker import consumer

from tasks import telemetry

LOG: Final = logging.getLogger(__name__)


class Consumer(consumer.Consumer):
    """A consumer that drops messages without a trace but a line of the log, which shows nothing of them."""

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """Return Celery's handler of messages, for those alone that name a task: it would fail on any other."""
        take: Callable[..., Any] = super().create_task_handler(*args, **kwargs)

        def take_task(message: Any) -> Any:
            headers = message.headers
            if isinstance(headers, dict) and isinstance(headers.get("task"), str):
                return take(message)
            return self.on_unknown_task(None, message, TypeError())

        return take_task

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Drop a message of an unknown task."""
        del body, exc
        self._refuse(message, "it calls no task of a worker")

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Drop a message that is no task."""
        del body
        self._refuse(message, "it is no task")

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Drop a message that cannot be decoded."""
        self._refuse(message, f"it cannot be decoded ({type(exc).__name__})")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Drop a message that the strategy of its task has refused, logged and counted."""
        del body, exc
        self._drop(message)

    def _refuse(self, message: Any, why: str) -> None:
        LOG.error("A message is refused: %s.", why)
        telemetry.count(telemetry.REQUESTS_REFUSED, reason=telemetry.MALFORMED)
        self._drop(message)

    def _drop(self, message: Any) -> None:
        itself: Any = self
        message.reject_log_error(LOG, itself.connection_errors)
