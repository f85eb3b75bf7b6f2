"""The upload refusals of registries that all workers met (BEHAVIOUR 5.6); without Redis, those of this process."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, cast

import redis
from redis.exceptions import RedisError

from tasks.registry.upload_forms import Refused

# Long enough to keep refusals rare, short enough for a repaired registry.
_REMEMBERED: Final = 86_400
# A process reads Redis no more often than this: a single upload needs no query.
_LOOK_SECONDS: Final = 30.0
_FIELDS: Final = ("put", "part_bytes")


class RedisUploadForms:
    """Hashes that expire a day after the last refusal of an upload; `clock` is monotonic, in seconds."""

    def __init__(self, client: redis.Redis, prefix: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._prefix = prefix
        self._clock = clock
        self._guard = threading.Lock()
        self._known: dict[str, tuple[Refused, float]] = {}

    def refused(self, registry: str) -> Refused:
        """Return the known refusals of a registry, as of a moment ago."""
        known, looked = self._known.get(registry, (Refused(), float("-inf")))
        if self._clock() - looked < _LOOK_SECONDS:
            return known
        with suppress(RedisError):
            known = self._read(registry)
        with self._guard:
            self._known[registry] = known, self._clock()
        return known

    def note(self, registry: str, refused: Refused) -> None:
        """Add the refusals that a successful upload met."""
        united = self.refused(registry).united(refused)
        with self._guard:
            self._known[registry] = united, self._clock()
        said = {name: str(value) for name in _FIELDS if (value := getattr(united, name)) is not None}
        with suppress(RedisError), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hset(self._key(registry), mapping=said)  # type: ignore[arg-type]
            pipeline.expire(self._key(registry), _REMEMBERED)
            pipeline.execute()

    def _read(self, registry: str) -> Refused:
        found = cast("list[bytes | None]", self._client.hmget(self._key(registry), list(_FIELDS)))
        return Refused(*(int(value) if value is not None and value.isdigit() else None for value in found))

    def _key(self, registry: str) -> str:
        return f"{self._prefix}uploads:{registry}"
