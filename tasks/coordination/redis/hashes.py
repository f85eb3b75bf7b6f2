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
# Returns what the field ARGV[2] of KEYS[1] held. It first writes fields of the further keys, which end in ARGV[1]
# seconds ("" for never): for each key their number, their names and values. If ARGV[3] is a number, it only does so
# where the field held nothing, or one of so many arguments that come next.
WRITE: Final = """
    local before = redis.call('HGET', KEYS[1], ARGV[2])
    local place, may_write = 4, ARGV[3] == '' or not before
    for _ = 1, tonumber(ARGV[3]) or 0 do
        may_write = may_write or before == ARGV[place]
        place = place + 1
    end
    for number = 2, may_write and #KEYS or 1 do
        local last = place + 2 * tonumber(ARGV[place])
        for field = place + 1, last, 2 do redis.call('HSET', KEYS[number], ARGV[field], ARGV[field + 1]) end
        if ARGV[1] ~= '' then redis.call('EXPIRE', KEYS[number], ARGV[1]) end
        place = last + 1
    end
    return before
"""
# Returns the field of ARGV of each hash in KEYS.
FETCH: Final = """
    local found = {}
    for place, key in ipairs(KEYS) do found[place] = redis.call('HGET', key, ARGV[place]) end
    return found
"""
# Adds one to the field ARGV[2] of a hash, which ends in ARGV[1] seconds.
INCREMENT: Final = """
    local number = redis.call('HINCRBY', KEYS[1], ARGV[2], 1)
    redis.call('EXPIRE', KEYS[1], ARGV[1])
    return number
"""
# Drops the fields ARGV[2] to the last from KEYS[1]; if none is left there, drops the field ARGV[1] of KEYS[2].
DROP_UP_TO_LAST: Final = """
    for place = 2, #ARGV do redis.call('HDEL', KEYS[1], ARGV[place]) end
    if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('HDEL', KEYS[2], ARGV[1]) end
"""


class RedisHashes:
    """Hashes on Redis; `seconds` is their lifetime after a write.

    What belongs together is one script: a command costs a worker more than it costs Redis.
    """

    def __init__(self, client: redis.Redis, seconds: int) -> None:
        self._client = client
        self._seconds = seconds
        self._write = client.register_script(WRITE)
        self._fetch = client.register_script(FETCH)
        self._increment = client.register_script(INCREMENT)
        self._drop_up_to_last = client.register_script(DROP_UP_TO_LAST)

    def put(self, records: Mapping[str, Mapping[str, bytes]], *, seconds: float | None = None) -> None:
        if records:
            self._written((next(iter(records)), ""), records, self._seconds if seconds is None else seconds)

    def exchange(
        self, place: Place, records: Mapping[str, Mapping[str, bytes]], *, over: Collection[bytes] | None = None
    ) -> bytes | None:
        return self._written(place, records, self._seconds, over)

    def fetch(self, *places: Place) -> list[bytes | None]:
        if not places:
            return []
        keys, fields = [key for key, _ in places], [field for _, field in places]
        with self._named_failures():
            if len(places) == 1:
                return [cast("bytes | None", self._client.hget(keys[0], fields[0]))]
            return cast("list[bytes | None]", self._fetch(keys=keys, args=fields))

    def all(self, key: str) -> dict[str, bytes]:
        with self._named_failures():
            found = cast("dict[bytes, bytes]", self._client.hgetall(key))
        return {name: value for field, value in found.items() if (name := _name_of(key, field)) is not None}

    def size(self, key: str) -> int:
        with self._named_failures():
            return self._client.hlen(key)

    def increment(self, key: str, field: str) -> int:
        with self._named_failures():
            return int(cast("int", self._increment(keys=[key], args=[self._seconds, field])))

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

    def _written(
        self,
        place: Place,
        records: Mapping[str, Mapping[str, bytes]],
        seconds: float,
        over: Collection[bytes] | None = None,
    ) -> bytes | None:
        """Write fields, unless `place` holds something that is not in `over`; return what it held before."""
        key, field = place
        args: list[Any] = ["" if math.isinf(seconds) else int(seconds), field, "" if over is None else len(over)]
        args += over or ()
        for fields in records.values():
            args += [len(fields), *itertools.chain.from_iterable(fields.items())]
        with self._named_failures():
            return cast("bytes | None", self._write(keys=[key, *records], args=args))

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


def _name_of(key: str, field: bytes) -> str | None:
    """Return the name of a field, None for a foreign field, which is logged."""
    try:
        return field.decode()
    except UnicodeDecodeError:
        LOG.error("A field of %s is no text, and is left out: who else writes to this Redis?", key)  # noqa: TRY400
        return None
