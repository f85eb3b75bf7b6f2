"""Where the ledger keeps its hashes: Redis, where workers share it, or a file, where one process does all the work."""

import sqlite3
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import redis


class Hashes(Protocol):
    """Hashes of fields that expire some time after their last write."""

    def put(self, key: str, fields: Mapping[str, bytes]) -> None: ...
    def get(self, key: str, field: str) -> bytes | None: ...
    def all(self, key: str) -> dict[str, bytes]: ...

    def drop(self, key: str, *fields: str) -> None: ...
    def delete(self, *keys: str) -> None: ...


class RedisHashes:
    """Hashes on Redis; `seconds` is how long they live after a write."""

    def __init__(self, client: redis.Redis, seconds: int) -> None:
        self._client = client
        self._seconds = seconds

    def put(self, key: str, fields: Mapping[str, bytes]) -> None:
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hset(key, mapping=cast("Any", dict(fields)))
            pipeline.expire(key, self._seconds)
            pipeline.execute()

    def get(self, key: str, field: str) -> bytes | None:
        return cast("bytes | None", self._client.hget(key, field))

    def all(self, key: str) -> dict[str, bytes]:
        found = cast("dict[bytes, bytes]", self._client.hgetall(key))
        return {field.decode(): value for field, value in found.items()}

    def drop(self, key: str, *fields: str) -> None:
        if fields:
            self._client.hdel(key, *fields)

    def delete(self, *keys: str) -> None:
        self._client.delete(*keys)


class FileHashes:
    """Hashes in an SQLite file that several processes may share; `seconds` is how long they live after a write."""

    def __init__(self, path: Path, seconds: int) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._seconds = seconds
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        # WAL lets `imagepusher status` read while a push writes; a power cut may lose the last moments, not the file.
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS hashes"
            " (key TEXT, field TEXT, value BLOB, expires REAL, PRIMARY KEY (key, field))"
        )
        self._database.execute("DELETE FROM hashes WHERE expires < ?", (time.time(),))
        path.chmod(0o600)

    def put(self, key: str, fields: Mapping[str, bytes]) -> None:
        expires = time.time() + self._seconds
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(
                "INSERT INTO hashes VALUES (?, ?, ?, ?)"
                " ON CONFLICT (key, field) DO UPDATE SET value = excluded.value, expires = excluded.expires",
                [(key, field, value, expires) for field, value in fields.items()],
            )

    def get(self, key: str, field: str) -> bytes | None:
        found = self._rows("SELECT value FROM hashes WHERE key = ? AND field = ? AND expires >= ?", key, field)
        return found[0][0] if found else None

    def all(self, key: str) -> dict[str, bytes]:
        return dict(self._rows("SELECT field, value FROM hashes WHERE key = ? AND expires >= ?", key))

    def drop(self, key: str, *fields: str) -> None:
        with self._lock:
            self._database.executemany(
                "DELETE FROM hashes WHERE key = ? AND field = ?", [(key, field) for field in fields]
            )

    def delete(self, *keys: str) -> None:
        with self._lock:
            self._database.executemany("DELETE FROM hashes WHERE key = ?", [(key,) for key in keys])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _rows(self, query: str, *parameters: str) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(query, (*parameters, time.time())).fetchall()
