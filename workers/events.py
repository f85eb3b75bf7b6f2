"""What comes after a push: each tag that moved is told to a Celery task and to plug-ins, at least once."""

import logging
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Any, Final

import msgspec
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from tasks.contract import TagMoved
from tasks.errors import StateUnavailable

PLUGINS: Final = "imagepusher.tag_moved"
LOG: Final = logging.getLogger(__name__)

Plugin = Callable[[dict[str, Any]], None]


class CeleryAnnouncer:
    """Send a task for each tag that moved, and call the plug-ins.

    The task takes the event as its only argument. A plug-in is a function of the event in the entry points' group
    `imagepusher.tag_moved`; what it raises is logged and stops nothing.
    """

    def __init__(self, app: Celery, task: str | None, queue: str, plugins: Sequence[Plugin]) -> None:
        self._app = app
        self._task = task
        self._queue = queue
        self._plugins = plugins
        self.listens = bool(task or plugins)

    def tag_moved(self, moved: TagMoved) -> None:
        """Tell of one tag; raises StateUnavailable where the broker does not take the task."""
        if self._task is not None:
            try:
                self._app.send_task(self._task, args=[msgspec.to_builtins(moved)], queue=self._queue)
            except (OperationalError, RedisError) as error:
                raise StateUnavailable(
                    f"The broker did not take the event of {moved.reference}: {type(error).__name__}."
                ) from None
        for plugin in self._plugins:
            try:
                plugin(msgspec.to_builtins(moved))
            except Exception:
                LOG.exception("A plug-in failed to take the event of %s", moved.reference)


def load_plugins() -> list[Plugin]:
    """Return the plug-ins that are installed, by name; one that cannot be loaded is logged and left out."""
    loaded: list[Plugin] = []
    for entry in sorted(entry_points(group=PLUGINS), key=lambda entry: entry.name):
        try:
            loaded.append(entry.load())
        except Exception:
            LOG.exception("The plug-in %s (%s) cannot be loaded: it is told nothing", entry.name, entry.value)
    return loaded
