"""The hashes of the ledger on Redis, where workers share them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import redis
from redis.exceptions import RedisError

from tasks.coordination.hashes import Place
from tasks.errors import StateUnavailable


class RedisHashes:
    """Hashes on Redis; `seconds` is how long they live after a write."""

    def __init__(self, client: redis.Redis, seconds: int) -> None:
        self._client = client
        self._seconds = seconds

    def put(self, records: Mapping[str, Mapping[str, bytes]]) -> None:
        with _named_failures(), self._client.pipeline(transaction=False) as pipeline:
            for key, fields in records.items():
                pipeline.hset(key, mapping=cast("Any", dict(fields)))
                pipeline.expire(key, self._seconds)
            pipeline.execute()

    def fetch(self, *places: Place) -> list[bytes | None]:
        with _named_failures(), self._client.pipeline(transaction=False) as pipeline:
            for key, field in places:
                pipeline.hget(key, field)
            return cast("list[bytes | None]", pipeline.execute())

    def all(self, key: str) -> dict[str, bytes]:
        with _named_failures():
            found = cast("dict[bytes, bytes]", self._client.hgetall(key))
        return {field.decode(): value for field, value in found.items()}

    def size(self, key: str) -> int:
        with _named_failures():
            return self._client.hlen(key)

    def increment(self, key: str, field: str) -> int:
        with _named_failures(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hincrby(key, field, 1)
            pipeline.expire(key, self._seconds)
            return int(pipeline.execute()[0])

    def drop(self, key: str, *fields: str) -> None:
        with _named_failures():
            self._client.hdel(key, *fields)

    def delete(self, *keys: str) -> None:
        with _named_failures():
            self._client.delete(*keys)


@contextmanager
def _named_failures() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise StateUnavailable(f"The ledger cannot be reached: {type(error).__name__} from Redis.") from None
