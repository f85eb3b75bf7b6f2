"""Celery's consumer, without the stored failure for a message of an unknown task.

The sender chooses the id of such a message: it could be the id of a push.
"""

import logging
from typing import Any, Final

from celery.worker import consumer

from tasks import telemetry

LOG: Final = logging.getLogger(__name__)


class Consumer(consumer.Consumer):
    """A consumer that drops messages of unknown tasks and only logs them."""

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Drop a message of an unknown task."""
        del body, exc
        LOG.error("A message is refused: it calls no task of a worker.")
        telemetry.count(telemetry.REQUESTS_REFUSED, reason=telemetry.MALFORMED)
        itself: Any = self
        message.reject_log_error(LOG, itself.connection_errors)
