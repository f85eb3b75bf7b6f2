"""When a task goes back to the broker instead of waiting in its worker: crash, long outage, long Retry-After."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from celery import Task, exceptions
from celery.exceptions import Reject

from tasks.errors import ImagePusherError, Retry, StateUnavailable

_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 120.0
_DOUBLINGS: Final = 6


def tries_left(task: Task[Any, Any], tries: int) -> bool:
    """Tell whether this delivery is not the last of `tries`."""
    return bool(task.request.retries + 1 < tries)


def pause(task: Task[Any, Any], error: ImagePusherError) -> float:
    """Return the seconds before the next delivery: those that the error asks for, else doubling with jitter."""
    if error.retry_after is not None:
        return error.retry_after
    doubled = _FIRST_PAUSE * 2.0 ** min(_DOUBLINGS, int(task.request.retries))
    return min(_LONGEST_PAUSE, doubled) * random.uniform(0.5, 1)  # noqa: S311 - jitter


def later(task: Task[Any, Any], error: ImagePusherError, note_due: Callable[[float], None]) -> exceptions.Retry:
    """Send the task again, to be run after a pause, and return what ends this delivery.

    `note_due` is told when it is due, in seconds since the epoch.
    """
    seconds = pause(task, error)
    with suppress(StateUnavailable):
        note_due(time.time() + seconds)
    # Without it Celery would show its own representation of the arguments from now on.
    options: dict[str, Any] = {"argsrepr": getattr(task.request, "argsrepr", None)}
    try:
        return task.retry(countdown=seconds, throw=False, **options)
    except Reject:
        # Celery would drop the message that it cannot replace.
        raise Reject("the broker does not take its successor", requeue=True) from None


@contextmanager
def returned_to_queue(task: Task[Any, Any], note_due: Callable[[float], None] = lambda _: None) -> Iterator[None]:
    """Give the task back where its worker shuts down, or where what it needs does not serve at the moment.

    For `note_due` see `later`.
    """
    try:
        yield
    except ImagePusherError as error:
        if error.retry is Retry.NEVER:
            raise
        if error.retry_after == 0:
            raise Reject(error.message, requeue=True) from None
        raise later(task, error, note_due) from None
