"""The repositories of a registry that hold a blob: hints for mounts, shared by all workers, possibly stale."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, cast

import redis
from redis.exceptions import RedisError

_REMEMBERED: Final = 3600
_OFFERED: Final = 8
# Adds ARGV[2] to a set, which ends in ARGV[1] seconds.
ADD: Final = """
    redis.call('SADD', KEYS[1], ARGV[2])
    redis.call('EXPIRE', KEYS[1], ARGV[1])
"""


class RedisBlobLocations:
    """Sets of repositories that expire an hour after the last addition; without Redis they are empty."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._add = client.register_script(ADD)

    def repositories(self, registry: str, digest: str) -> Sequence[str]:
        """Return some repositories that held the blob."""
        with suppress(RedisError):
            found = cast("list[bytes]", self._client.srandmember(self._key(registry, digest), _OFFERED))
            return [name.decode() for name in found]
        return []

    def add(self, registry: str, digest: str, repository: str) -> None:
        """Note that a repository holds the blob."""
        with suppress(RedisError):
            self._add(keys=[self._key(registry, digest)], args=[_REMEMBERED, repository])

    def forget(self, registry: str, digest: str, repository: str) -> None:
        """Note that a repository does not hold the blob."""
        with suppress(RedisError):
            self._client.srem(self._key(registry, digest), repository)

    def _key(self, registry: str, digest: str) -> str:
        return f"{self._prefix}blob:{registry}:{digest}"
