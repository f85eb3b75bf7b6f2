"""When a task goes back to the broker instead of waiting for a registry: crash, long outage, long Retry-After."""

import random
from typing import Any, Final

from celery import Task

from tasks.errors import ImagePusherError

_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 120.0


def tries_left(task: Task[Any, Any], tries: int) -> bool:
    """Tell whether this delivery is not the last of `tries`."""
    return bool(task.request.retries + 1 < tries)


def pause(task: Task[Any, Any], error: ImagePusherError) -> float:
    """Return the seconds before the next delivery: what the registry asked for, else doubling with jitter."""
    asked = getattr(error, "retry_after", None)
    if asked is not None:
        return float(asked)
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** int(task.request.retries)) * random.uniform(0.5, 1)  # noqa: S311 - jitter
