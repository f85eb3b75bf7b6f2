"""Events after a push: each moved tag is announced to a Celery task and to plug-ins, at least once."""

import msgspec
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from tasks.contract import TagMoved
from tasks.errors import StateUnavailable
from workers.process.plugins import PluginAnnouncer


class CeleryAnnouncer:
    """An announcer that sends a task with the event as its only argument for each moved tag, then calls plug-ins."""

    def __init__(self, app: Celery, task: str | None, queue: str, plugins: PluginAnnouncer) -> None:
        self._app = app
        self._task = task
        self._queue = queue
        self._plugins = plugins
        self.listens = task is not None or plugins.listens

    def tag_moved(self, moved: TagMoved) -> None:
        """Announce one tag; raises StateUnavailable if the broker does not take the task."""
        if self._task is not None:
            try:
                self._app.send_task(self._task, args=[msgspec.to_builtins(moved)], queue=self._queue)
            except (OperationalError, RedisError) as error:
                raise StateUnavailable(
                    f"The broker did not take the event of {moved.reference}: {type(error).__name__}."
                ) from None
        self._plugins.tag_moved(moved)
