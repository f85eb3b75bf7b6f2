"""The failures of Redis as errors of this program."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError

from tasks.errors import StateUnavailable


@contextmanager
def named_failures(what: str) -> Iterator[None]:
    """Raise StateUnavailable where Redis fails; `what` names the unknown fact."""
    try:
        yield
    except RedisError as error:
        raise StateUnavailable(f"{what} is unknown: {type(error).__name__} from Redis.") from None
