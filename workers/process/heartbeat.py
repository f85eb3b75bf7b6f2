"""A file that is touched while the worker's loop lives: probes look at its age, and start no process of Celery's."""

import logging
from pathlib import Path
from typing import Any, Final

from celery import bootsteps

EVERY_SECONDS: Final = 5.0

LOG: Final = logging.getLogger(__name__)


def heartbeat_step(path: Path) -> type[bootsteps.StartStopStep]:
    """Return the step of a consumer that touches `path` every few seconds, from the loop that takes messages.

    While the broker is away the loop does not turn, and the file grows old: whoever restarts a worker for that waits
    for longer than an outage may take.
    """

    class HeartbeatStep(bootsteps.StartStopStep):
        # The last of the steps that a worker cannot do without: before it no message is taken.
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, parent: Any) -> None:
            _touch(path)
            # A consumer drops its timers when it loses the broker, and starts its steps again when that is back.
            parent.timer.call_repeatedly(EVERY_SECONDS, _touch, (path,))

    return HeartbeatStep


def _touch(path: Path) -> None:
    try:
        path.touch()
    except OSError as error:
        # Raised here, it would be taken for a lost connection; the probe sees that the file is old.
        LOG.error("The heartbeat file %s cannot be touched: %s", path, error.strerror or error)  # noqa: TRY400 - said in full
