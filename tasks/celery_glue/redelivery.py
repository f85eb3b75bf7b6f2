"""The return of tasks to the broker instead of a wait in the worker: crash, long outage, long Retry-After."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Task, exceptions
from celery.exceptions import Reject

from tasks.celery_glue.retry_decision import Returns
from tasks.celery_glue.runtime import Runtime
from tasks.errors import ImagePusherError, Retry


class Deliveries(Returns):
    """The deliveries of one part's task: whether another delivery may follow this one, and when.

    It is made in the thread of the task; any thread may ask it.
    """

    def __init__(self, task: Task[Any, Any], here: Runtime, push_id: str, part: str) -> None:
        # Celery knows the request of a task in its own thread only: elsewhere each delivery would look like the first.
        super().__init__(here, push_id, part, int(task.request.retries))
        self._task = task

    @contextmanager
    def given_back(self) -> Iterator[None]:
        """Give the task back to the broker if an error says so."""
        try:
            yield
        except ImagePusherError as error:
            if error.retry is Retry.NEVER:
                raise
            if error.retry_after == 0:
                raise Reject(error.message, requeue=True) from None
            raise self.later(error) from None

    def later(self, error: ImagePusherError) -> exceptions.Retry:
        """Send the task again, to be run after a pause, and return the exception that ends this delivery."""
        seconds = self.wait(error)
        # Without this option Celery would show its own representation of the arguments from now on.
        options: dict[str, Any] = {"argsrepr": getattr(self._task.request, "argsrepr", None)}
        try:
            return self._task.retry(countdown=seconds, throw=False, exc=error, **options)
        except Reject:
            # Without the Reject, Celery would drop a message that it cannot replace.
            raise Reject("the broker does not take its successor", requeue=True) from None
