"""The hashes of the ledger in a SQLite file, for use without Redis."""

import os
import sqlite3
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tasks.coordination.hashes import Place
from tasks.coordination.local.own_file import open_own
from tasks.errors import StateFolderUnusable

_PATIENCE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.01
# The search for what has expired reads the whole file: no command waits for it that another one did this hour.
_SWEEP_SECONDS: Final = 3600


class FileHashes:
    """Hashes in a SQLite file that only its owner can read and processes share; without a path, in memory.

    All methods but the constructor raise StateFolderUnusable, on a full disk, say.
    """

    def __init__(self, path: Path | None, seconds: int) -> None:
        self._path = path
        self._seconds = seconds
        self._lock = threading.Lock()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # SQLite gives its files beside this one, -wal and -shm, the same permissions.
            os.close(open_own(path, os.O_RDWR))
        self._database = sqlite3.connect(
            path or ":memory:", timeout=_PATIENCE_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._set_up()

    def put(self, records: Mapping[str, Mapping[str, bytes]], *, seconds: float | None = None) -> None:
        with self._writing():
            self._write(_rows_of(records), seconds)

    def exchange(
        self, place: Place, records: Mapping[str, Mapping[str, bytes]], *, over: Collection[bytes] | None = None
    ) -> bytes | None:
        with self._writing():
            before = self._value(*place)
            if over is None or before is None or before in over:
                self._write(_rows_of(records))
        return before

    def fetch(self, *places: Place) -> list[bytes | None]:
        with self._reading():
            return [self._value(key, field) for key, field in places]

    def all(self, key: str) -> dict[str, bytes]:
        with self._reading():
            return dict(self._rows("SELECT field, value FROM hashes WHERE key = ? AND expires >= ?", key))

    def size(self, key: str) -> int:
        with self._reading():
            return self._size(key)

    def increment(self, key: str, field: str) -> int:
        with self._writing():
            number = int(self._value(key, field) or 0) + 1
            self._write([(key, field, b"%d" % number)])
        return number

    def drop(self, key: str, *fields: str) -> None:
        with self._writing():
            self._remove((key, field) for field in fields)

    def drop_up_to_last(self, place: Place, key: str, *fields: str) -> None:
        with self._writing():
            self._remove((key, field) for field in fields)
            if not self._size(key):
                self._remove([place])

    def delete(self, *keys: str) -> None:
        with self._writing():
            self._database.executemany("DELETE FROM hashes WHERE key = ?", [(key,) for key in keys])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _set_up(self) -> None:
        ends_at = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                # Readers of another process do not wait for writers; a power cut may lose the last writes, not the
                # file.
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute("PRAGMA synchronous = NORMAL")
                self._database.execute(
                    "CREATE TABLE IF NOT EXISTS hashes"
                    " (key TEXT, field TEXT, value BLOB, expires REAL, PRIMARY KEY (key, field))"
                )
                self._sweep(time.time())
            except sqlite3.OperationalError as error:
                # SQLite itself does not wait for another process that changes the journal mode of a new file.
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= ends_at:
                    self._database.close()
                    raise
                time.sleep(_POLL_SECONDS)
            else:
                return

    def _sweep(self, now: float) -> None:
        """Delete what has expired, unless this file was swept lately; nobody reads it anyway."""
        due = int(now // _SWEEP_SECONDS)
        if self._database.execute("PRAGMA user_version").fetchone() != (due,):
            self._database.execute("DELETE FROM hashes WHERE expires < ?", (now,))
            self._database.execute(f"PRAGMA user_version = {due}")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, self._named_failures("read"):
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, self._named_failures("written"), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def _named_failures(self, done: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:
            # A closed database, say: a defect of this program.
            raise
        except sqlite3.DatabaseError as error:
            raise StateFolderUnusable(f"The ledger {self._path} cannot be {done}: {error}.") from error

    def _write(self, rows: Iterable[tuple[str, str, bytes]], seconds: float | None = None) -> None:
        expires = time.time() + (self._seconds if seconds is None else seconds)
        self._database.executemany(
            "INSERT INTO hashes VALUES (?, ?, ?, ?)"
            " ON CONFLICT (key, field) DO UPDATE SET value = excluded.value, expires = excluded.expires",
            [(*row, expires) for row in rows],
        )

    def _remove(self, places: Iterable[Place]) -> None:
        self._database.executemany("DELETE FROM hashes WHERE key = ? AND field = ?", places)

    def _size(self, key: str) -> int:
        return int(self._rows("SELECT count(*) FROM hashes WHERE key = ? AND expires >= ?", key)[0][0])

    def _value(self, key: str, field: str) -> bytes | None:
        found = self._rows("SELECT value FROM hashes WHERE key = ? AND field = ? AND expires >= ?", key, field)
        return found[0][0] if found else None

    def _rows(self, query: str, *parameters: str) -> list[tuple[Any, ...]]:
        return self._database.execute(query, (*parameters, time.time())).fetchall()


def _rows_of(records: Mapping[str, Mapping[str, bytes]]) -> list[tuple[str, str, bytes]]:
    return [(key, field, value) for key, fields in records.items() for field, value in fields.items()]
