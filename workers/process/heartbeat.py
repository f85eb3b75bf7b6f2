"""A heartbeat file, touched while the worker's loop runs: probes check its age without starting a Celery process."""

import logging
from pathlib import Path
from typing import Any, Final

from celery import bootsteps

EVERY_SECONDS: Final = 5.0

LOG: Final = logging.getLogger(__name__)


def heartbeat_step(path: Path) -> type[bootsteps.StartStopStep]:
    """Return a consumer step that touches `path` every few seconds, from the loop that takes messages.

    During an outage of the broker, the loop does not run and the file becomes old: a probe that restarts the worker
    must tolerate the longest outage.
    """

    class HeartbeatStep(bootsteps.StartStopStep):
        # The last of the essential steps: no message is taken before it.
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, parent: Any) -> None:
            _touch(path)
            # A consumer drops its timers when it loses the broker, and restarts its steps when the broker is back.
            parent.timer.call_repeatedly(EVERY_SECONDS, _touch, (path,))

    return HeartbeatStep


def _touch(path: Path) -> None:
    try:
        path.touch()
    except OSError as error:
        # An error raised here would look like a lost connection; the probe notices the old file.
        LOG.error("The heartbeat file %s cannot be touched: %s", path, error.strerror or error)  # noqa: TRY400 - said in full
