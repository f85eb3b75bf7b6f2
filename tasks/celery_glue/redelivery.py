"""The return of tasks to the broker instead of a wait in the worker: crash, long outage, long Retry-After."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from celery import Task, exceptions
from celery.exceptions import Reject

from tasks import contract
from tasks.celery_glue.display import TaskView
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
        self.view = TaskView(task)
        self._task = task

    def tell(self, waiting: contract.Waiting | None) -> None:
        """Show in monitors that the push waits, or goes on."""
        push = self._here.ledger.task_id(self._push_id)
        if waiting is None:
            self.view.progress("moving tags", push)
            return
        for task_id in {push, self.view.task_id}:
            self.view.waiting(waiting, task_id)

    def went_on(self) -> None:
        """Show that the push goes on, if this part of it had to wait and no other part waits still."""
        if self._retries == 0:
            return
        with suppress(ImagePusherError):
            progress = self._here.ledger.progress(self._push_id)
            if progress.waiting is None:
                push, ended = self._here.ledger.task_id(self._push_id), sum(copy.ended for copy in progress.copies)
                self.view.progress(f"{ended} of {len(progress.copies)} copied", push)

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
