"""Clients of Redis: the one that holds ledger and locks, and the one that is the broker."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.sentinel import Sentinel

from tasks.errors import SettingsInvalid
from workers.broker.celery_url import tls_of_redis
from workers.settings import Settings
from workers.settings.broker_address import MASTER, SENTINEL, SOCKETS, split_address
from workers.settings.broker_urls import for_redis

NO_CLUSTER: Final = (
    "Celery cannot use one: its keys would lie on several nodes. Name a Redis that stands alone, or Sentinels."
)

_LONGEST_BACKOFF: Final = 1.0


def connect(settings: Settings, patience: float) -> redis.Redis:
    """Return a client of the Redis of ledger and locks, which waits up to `patience` seconds during an outage.

    A Redis that is out of memory counts as an outage: its keys expire, or an operator adds memory.
    """
    if settings.state_url is None:
        raise ValueError("there is no Redis without a broker")
    return _client(settings.state_url, patience)


def connect_broker(settings: Settings, patience: float) -> redis.Redis | None:
    """Return a client of the broker, with the same `patience`; None if the broker is not a Redis."""
    url = settings.broker_url
    return None if url is None or url.startswith("amqp") else _client(for_redis(url), patience)


def _client(url: str, patience: float) -> redis.Redis:
    tries = round(patience / _LONGEST_BACKOFF)
    return open_redis(
        url,
        socket_timeout=30,
        socket_connect_timeout=5,
        socket_keepalive=True,
        health_check_interval=25,
        retry=Retry(ExponentialBackoff(cap=_LONGEST_BACKOFF, base=0.05), tries),
        retry_on_error=[RedisConnectionError, RedisTimeoutError, OutOfMemoryError, ReadOnlyError],
    )


def open_redis(url: str, *, socket_timeout: float, socket_connect_timeout: float, **options: Any) -> redis.Redis:
    """Return a client of the Redis at a redis-py URL, or of the primary that Sentinels name."""
    address = split_address(url)
    options["socket_timeout"] = socket_timeout
    if address.scheme in SOCKETS:
        # A Unix socket has neither keepalive nor a connect timeout.
        options.pop("socket_keepalive", None)
        return redis.Redis.from_url(url, **options)
    options["socket_connect_timeout"] = socket_connect_timeout
    if address.scheme != SENTINEL:
        return redis.Redis.from_url(url, **options)
    tls = tls_of_redis(address.query)
    if tls:
        tls["ssl"] = True
    user = urlsplit(url)
    hosts = [(part.hostname or "", part.port or 0) for part in (urlsplit(f"//{host}") for host in address.hosts)]
    patience = {"socket_timeout": socket_connect_timeout, "socket_connect_timeout": socket_connect_timeout}
    sentinels: Any = Sentinel(hosts, sentinel_kwargs=patience | tls)  # type: ignore[no-untyped-call]
    client: redis.Redis = sentinels.master_for(
        address.query[MASTER],
        db=int(address.path.strip("/") or 0),
        username=unquote(user.username or "") or None,
        password=unquote(user.password or "") or None,
        **tls,
        **options,
    )
    return client


def refuse_clusters(settings: Settings) -> None:
    """Raise SettingsInvalid if a Redis is in cluster mode; ignore a Redis that does not answer."""
    for setting, client in (("broker.url", connect_broker(settings, 0)), ("broker.state_url", connect(settings, 0))):
        if client is None:
            continue
        with client, suppress(RedisError):
            if is_cluster(cast("Mapping[str, Any]", client.info("cluster"))):
                raise SettingsInvalid(f"{setting} leads to a Redis in cluster mode. {NO_CLUSTER}")


def is_cluster(info: Mapping[str, Any]) -> bool:
    """Tell from its INFO whether a Redis is a node of a cluster."""
    return bool(info.get("cluster_enabled"))
