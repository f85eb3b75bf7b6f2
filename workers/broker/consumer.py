"""Celery's consumer, which stores no failure under the id of a message that calls a task that nobody has.

Anyone may write an id: it could be that of a push.
"""

import logging
from typing import Any, Final

from celery.worker import consumer

from tasks import telemetry

LOG: Final = logging.getLogger(__name__)


class Consumer(consumer.Consumer):
    """Refuses what it does not know, and tells the log of it alone."""

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Drop a message of an unknown task."""
        del body, exc
        LOG.error("A message is refused: it calls no task of a worker.")
        telemetry.count(telemetry.REQUESTS_REFUSED, reason=telemetry.MALFORMED)
        itself: Any = self
        message.reject_log_error(LOG, itself.connection_errors)
