"""The client of the Redis that holds ledger and locks."""

from typing import Final

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from workers.settings import Settings

_LONGEST_BACKOFF: Final = 1.0


def connect(settings: Settings, patience: float) -> redis.Redis:
    """Return a client of the Redis of ledger and locks, which waits `patience` seconds for one that is away.

    A Redis that is out of memory is away too: what it holds ends by itself, or somebody gives it more.
    """
    if settings.state_url is None:
        raise ValueError("there is no Redis without a broker")
    tries = round(patience / _LONGEST_BACKOFF)
    return redis.Redis.from_url(
        settings.state_url,
        socket_timeout=30,
        socket_connect_timeout=5,
        socket_keepalive=True,
        health_check_interval=25,
        retry=Retry(ExponentialBackoff(cap=_LONGEST_BACKOFF, base=0.05), tries),
        retry_on_error=[RedisConnectionError, RedisTimeoutError, OutOfMemoryError, ReadOnlyError],
    )
