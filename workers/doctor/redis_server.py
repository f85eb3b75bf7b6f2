"""The checks of a Redis: it answers, accepts writes, survives a restart, and evicts no keys."""

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Final, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.retry import Retry

from workers.broker.app import KEY_PREFIX
from workers.broker.redis_client import NO_CLUSTER, is_cluster, open_redis
from workers.doctor.finding import Finding, fault, fine, judge_clock, warning
from workers.observability.masking import mask
from workers.process.roster import Worker, read_roster, redis_time
from workers.settings.broker_urls import place_of

_PATIENCE_SECONDS: Final = 5.0
_PROBE_MILLISECONDS: Final = 10_000
_NEARLY_FULL: Final = 0.9


class RedisServer:
    """One Redis, by its redis-py URL; `uses` maps each setting that names it to its role."""

    def __init__(self, url: str, uses: Mapping[str, str]) -> None:
        self.where = f"Redis {place_of(url)}"
        # The other settings default to the first.
        self._key = next(iter(uses))
        self._uses = ", ".join(uses.values())
        self._url = url

    def examine(self) -> Iterator[Finding]:
        """Yield the findings; end early if no further check is possible."""
        with closing(self._connect()) as client:
            try:
                client.ping()
                info = cast("Mapping[str, Any]", client.info())
            except (RedisError, OSError) as error:
                yield self._unreachable(error)
                return
            if is_cluster(info):
                found = "it is in cluster mode: its keys lie on several nodes"
                yield fault("redis.cluster", self.where, found, f"{NO_CLUSTER} ({self._key})")
                return
            version = info.get("redis_version", "?")
            yield fine("redis.reachable", self.where, f"Redis {version} answers, for {self._uses}")
            yield self._write(client)
            yield judge_persistence(self.where, info, _snapshots(client))
            yield from judge_memory(self.where, info)
            asked = time.time()
            told = redis_time(client)
            yield judge_clock("this machine", self.where, (asked + time.time()) / 2 - told)

    def workers(self) -> list[Worker] | None:
        """Return the workers in its roster, None if the roster cannot be read."""
        with closing(self._connect()) as client:
            try:
                return read_roster(client)
            except (RedisError, OSError):
                return None

    def _connect(self) -> redis.Redis:
        return open_redis(
            self._url,
            socket_timeout=_PATIENCE_SECONDS,
            socket_connect_timeout=_PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 1),
        )

    def _unreachable(self, error: Exception) -> Finding:
        said = mask(str(error)) or type(error).__name__
        if isinstance(error, AuthenticationError | NoPermissionError):
            return fault(
                "redis.reachable",
                self.where,
                f"it refuses the user: {said}",
                f"Check user and password in {self._key}.",
            )
        advice = f"Start it, or let {self._key} name the one that runs; check the network and TLS between."
        return fault("redis.reachable", self.where, f"it does not answer: {said}", advice)

    def _write(self, client: redis.Redis) -> Finding:
        key = f"{KEY_PREFIX}doctor:{uuid.uuid4()}"
        try:
            client.set(key, "1", px=_PROBE_MILLISECONDS)
            client.delete(key)
        except (RedisError, OSError) as error:
            advice = "It must be a primary with room in memory and on disk, and let this user write imagepusher:*."
            return fault("redis.writable", self.where, f"it does not take a key: {mask(str(error))}", advice)
        return fine("redis.writable", self.where, "it takes keys")


def judge_persistence(where: str, info: Mapping[str, Any], snapshots: str | None) -> Finding:
    """Judge the persistence of data over a restart, by INFO and the setting `save` (None if it may not be read)."""
    check = "redis.persistence"
    advice = "Set `appendonly yes`: pushes that are under way survive no restart otherwise, until they are sent again."
    if info.get("aof_enabled"):
        if info.get("aof_last_write_status", "ok") != "ok":
            return fault(check, where, "its append-only file cannot be written", "Look at its disk and its log.")
        return fine(check, where, "it keeps an append-only file")
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        return fault(
            check, where, "its last snapshot failed, and it has no append-only file", "Look at its disk and its log."
        )
    if snapshots is None:
        return warning(check, where, "it has no append-only file; whether it takes snapshots may not be read", advice)
    if snapshots:
        return warning(check, where, "it takes snapshots only: what came after the last one is lost with it", advice)
    return warning(check, where, "it keeps nothing on disk", advice)


def judge_memory(where: str, info: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge the eviction of keys and the free memory."""
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        yield fine("redis.eviction", where, "it evicts no keys")
    else:
        evicted = info.get("evicted_keys", 0)
        yield fault(
            "redis.eviction",
            where,
            f"it may evict keys (maxmemory-policy {policy}, {evicted} evicted so far)",
            "Set `maxmemory-policy noeviction`: a push hangs, or is forgotten, without any one of its keys.",
        )
    most, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if most and used >= _NEARLY_FULL * most:
        share = f"it uses {used / most:.0%} of its {most // 2**20} MiB"
        yield warning("redis.memory", where, share, "Raise `maxmemory`: a Redis that is full takes no push.")


def _snapshots(client: redis.Redis) -> str | None:
    try:
        return str(client.config_get("save").get("save", ""))
    except (RedisError, OSError):
        return None
