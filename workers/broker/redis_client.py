"""Clients of Redis: of the one that holds ledger and locks, and of the one that is the broker."""

from typing import Final

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from workers.settings import Settings
from workers.settings.broker_urls import for_redis

_LONGEST_BACKOFF: Final = 1.0


def connect(settings: Settings, patience: float) -> redis.Redis:
    """Return a client of the Redis of ledger and locks, which waits `patience` seconds for one that is away.

    A Redis that is out of memory is away too: what it holds ends by itself, or somebody gives it more.
    """
    if settings.state_url is None:
        raise ValueError("there is no Redis without a broker")
    return _client(settings.state_url, patience)


def connect_broker(settings: Settings, patience: float) -> redis.Redis | None:
    """Return a client, of the same patience, of the broker, None where it is no Redis."""
    url = settings.broker_url
    return None if url is None or url.startswith("amqp") else _client(for_redis(url), patience)


def _client(url: str, patience: float) -> redis.Redis:
    tries = round(patience / _LONGEST_BACKOFF)
    return redis.Redis.from_url(
        url,
        socket_timeout=30,
        socket_connect_timeout=5,
        socket_keepalive=True,
        health_check_interval=25,
        retry=Retry(ExponentialBackoff(cap=_LONGEST_BACKOFF, base=0.05), tries),
        retry_on_error=[RedisConnectionError, RedisTimeoutError, OutOfMemoryError, ReadOnlyError],
    )
