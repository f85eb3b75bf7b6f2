"""The hashes of the ledger on Redis, which workers share."""

import itertools
import logging
import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, cast

import redis
from redis.exceptions import RedisError

from tasks.coordination.hashes import Place
from tasks.errors import StateUnavailable

LOG: Final = logging.getLogger(__name__)
# Drops the fields ARGV[2] to the last from KEYS[1]; if none is left there, drops the field ARGV[1] of KEYS[2].
DROP_UP_TO_LAST: Final = """
    for place = 2, #ARGV do redis.call('HDEL', KEYS[1], ARGV[place]) end
    if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('HDEL', KEYS[2], ARGV[1]) end
"""
# Returns what the field ARGV[2] of KEYS[1] held. If that was nothing, or one of the next ARGV[3] arguments, it first
# writes fields of the further keys, which live for ARGV[1] seconds: for each key their number, their names and values.
EXCHANGE: Final = """
    local before = redis.call('HGET', KEYS[1], ARGV[2])
    local place, may_write = 4, not before
    for _ = 1, tonumber(ARGV[3]) do
        may_write = may_write or before == ARGV[place]
        place = place + 1
    end
    for number = 2, may_write and #KEYS or 1 do
        local last = place + 2 * tonumber(ARGV[place])
        for field = place + 1, last, 2 do redis.call('HSET', KEYS[number], ARGV[field], ARGV[field + 1]) end
        redis.call('EXPIRE', KEYS[number], ARGV[1])
        place = last + 1
    end
    return before
"""


class RedisHashes:
    """Hashes on Redis; `seconds` is their lifetime after a write."""

    def __init__(self, client: redis.Redis, seconds: int) -> None:
        self._client = client
        self._seconds = seconds
        self._drop_up_to_last = client.register_script(DROP_UP_TO_LAST)
        self._exchange = client.register_script(EXCHANGE)

    def put(self, records: Mapping[str, Mapping[str, bytes]], *, seconds: float | None = None) -> None:
        with self._named_failures(), self._client.pipeline(transaction=False) as pipeline:
            _queue(pipeline, records, self._seconds if seconds is None else seconds)
            pipeline.execute()

    def exchange(
        self, place: Place, records: Mapping[str, Mapping[str, bytes]], *, over: Collection[bytes] | None = None
    ) -> bytes | None:
        if over is not None:
            return self._exchange_over(place, records, over)
        with self._named_failures(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.hget(*place)
            _queue(pipeline, records, self._seconds)
            return cast("bytes | None", pipeline.execute()[0])

    def _exchange_over(
        self, place: Place, records: Mapping[str, Mapping[str, bytes]], over: Collection[bytes]
    ) -> bytes | None:
        key, field = place
        arguments: list[Any] = [self._seconds, field, len(over), *over]
        for fields in records.values():
            arguments += [len(fields), *itertools.chain.from_iterable(fields.items())]
        with self._named_failures():
            return cast("bytes | None", self._exchange(keys=[key, *records], args=arguments))

    def fetch(self, *places: Place) -> list[bytes | None]:
        with self._named_failures(), self._client.pipeline(transaction=False) as pipeline:
            for key, field in places:
                pipeline.hget(key, field)
            return cast("list[bytes | None]", pipeline.execute())

    def all(self, key: str) -> dict[str, bytes]:
        with self._named_failures():
            found = cast("dict[bytes, bytes]", self._client.hgetall(key))
        return {name: value for field, value in found.items() if (name := _name_of(key, field)) is not None}

    def size(self, key: str) -> int:
        with self._named_failures():
            return self._client.hlen(key)

    def increment(self, key: str, field: str) -> int:
        with self._named_failures(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hincrby(key, field, 1)
            pipeline.expire(key, self._seconds)
            return int(pipeline.execute()[0])

    def drop(self, key: str, *fields: str) -> None:
        with self._named_failures():
            self._client.hdel(key, *fields)

    def drop_up_to_last(self, place: Place, key: str, *fields: str) -> None:
        listed, field = place
        with self._named_failures():
            self._drop_up_to_last(keys=[key, listed], args=[field, *fields])

    def delete(self, *keys: str) -> None:
        with self._named_failures():
            self._client.delete(*keys)

    @contextmanager
    def _named_failures(self) -> Iterator[None]:
        try:
            yield
        except RedisError as error:
            reason = str(error).rstrip(".") or type(error).__name__
            raise StateUnavailable(f"The ledger in Redis at {self._place()} cannot be used: {reason}.") from None

    def _place(self) -> str:
        """Return host, port and database, or the path of a socket; never user or password."""
        known: Any = self._client.connection_pool.connection_kwargs
        return str(known.get("path") or f"{known.get('host')}:{known.get('port')}/{known.get('db')}")


def _queue(pipeline: Any, records: Mapping[str, Mapping[str, bytes]], seconds: float) -> None:
    for key, fields in records.items():
        pipeline.hset(key, mapping=dict(fields))
        if not math.isinf(seconds):
            pipeline.expire(key, int(seconds))


def _name_of(key: str, field: bytes) -> str | None:
    """Return the name of a field, None for a foreign field, which is logged."""
    try:
        return field.decode()
    except UnicodeDecodeError:
        LOG.error("A field of %s is no text, and is left out: who else writes to this Redis?", key)  # noqa: TRY400
        return None
