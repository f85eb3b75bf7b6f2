"""The return of tasks to the broker instead of a wait in the worker: crash, long outage, long Retry-After."""

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from celery import Task, exceptions
from celery.exceptions import Reject

from tasks import contract
from tasks.celery_glue.runtime import Runtime
from tasks.errors import ImagePusherError, Retry, StateUnavailable

_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 120.0
_DOUBLINGS: Final = 6
_MAINTENANCE_PAUSE: Final = 60.0
# If a part went on for longer than this since its last wait, its next wait counts as a new one.
_WAITS_BELONG_TOGETHER: Final = 300.0


class Deliveries:
    """The deliveries of one part's task: whether another delivery may follow this one, and when."""

    def __init__(self, task: Task[Any, Any], here: Runtime, push_id: str, part: str) -> None:
        self._task = task
        self._here = here
        self._push_id = push_id
        self._part = part
        # Tags are moved by other threads, where Celery has no request.
        self._earlier = task.request.retries

    def may_follow(self, error: ImagePusherError, tries: int | None = None) -> bool:
        """Tell whether an error is worth another delivery; `tries` bounds those for registries that may serve later."""
        match error.retry:
            case Retry.NEVER:
                return False
            case Retry.GIVE_BACK:
                return True
            case Retry.WAIT:
                return self._here.clock() - self._waiting(error).since < self._here.maintenance_seconds
            case Retry.LATER:
                return bool(self._earlier + 1 < self._here.tries_of(tries))

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
        seconds = pause(error, self._earlier)
        with suppress(StateUnavailable):
            self._here.ledger.wait(self._push_id, self._part, self._waiting(error, seconds))
        # Without this option Celery would show its own representation of the arguments from now on.
        options: dict[str, Any] = {"argsrepr": getattr(self._task.request, "argsrepr", None)}
        try:
            return self._task.retry(countdown=seconds, throw=False, exc=error, **options)
        except Reject:
            # Without the Reject, Celery would drop a message that it cannot replace.
            raise Reject("the broker does not take its successor", requeue=True) from None

    def _waiting(self, error: ImagePusherError, seconds: float = 0.0) -> contract.Waiting:
        now = self._here.clock()
        earlier = self._here.ledger.waits(self._push_id).get(self._part)
        goes_on = earlier is not None and now - earlier.until < _WAITS_BELONG_TOGETHER
        since = earlier.since if earlier is not None and goes_on else now
        return contract.Waiting(reason=contract.Fault.of(error), since=since, until=now + seconds)


def pause(error: ImagePusherError, retries: int) -> float:
    """Return the seconds before the next delivery: as the error asks, else doubling with jitter."""
    if error.retry_after is not None:
        return error.retry_after
    if error.retry is Retry.WAIT:
        return _MAINTENANCE_PAUSE
    doubled = _FIRST_PAUSE * 2.0 ** min(_DOUBLINGS, retries)
    return min(_LONGEST_PAUSE, doubled) * random.uniform(0.5, 1)  # noqa: S311 - jitter
