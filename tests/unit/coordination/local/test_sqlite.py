"""The ledger's file, when several processes make it at once."""

import os
import re
import sqlite3
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from tasks.coordination.local.sqlite import FileHashes
from tasks.errors import StateFolderUnusable


def test_a_file_that_another_process_is_making_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite answers at once that it is locked, whatever its timeout, while its journal becomes another one."""
    path = tmp_path / "ledger.sqlite3"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE unrelated (field TEXT)")
    refused = threading.Event()

    class Connection(sqlite3.Connection):
        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            try:
                return super().execute(*arguments)
            except sqlite3.OperationalError:
                refused.set()
                raise

    def finish() -> None:
        refused.wait()
        other.execute("COMMIT")

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *some, **more: connect(*some, **more, factory=Connection))
    finishing = threading.Thread(target=finish, daemon=True)
    finishing.start()
    hashes = FileHashes(path, 60)
    hashes.put({"key": {"field": b"value"}})
    assert hashes.all("key") == {"field": b"value"}
    hashes.close()
    finishing.join()
    other.close()


def test_a_full_disk_is_told_with_the_file_and_what_was_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    hashes = FileHashes(path, 60)
    hashes.put({"key": {"field": b"value"}})
    # SQLite says so itself where the file may not grow, in the words for a full disk.
    pages = hashes._database.execute("PRAGMA page_count").fetchone()[0]
    hashes._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StateFolderUnusable, match=re.escape(f"{path} cannot be written: database or disk is full.")):
        hashes.put({"key": {"large": b"x" * 100_000}})
    assert hashes.all("key") == {"field": b"value"}
    hashes.close()


def test_nobody_else_may_read_the_files(tmp_path: Path) -> None:
    """Rule 6.7: those beside the database hold what was written last."""
    before = os.umask(0)
    try:
        hashes = FileHashes(tmp_path / "ledger.sqlite3", 60)
        hashes.put({"key": {"field": b"value"}})
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    hashes.close()
    assert modes == dict.fromkeys(("ledger.sqlite3", "ledger.sqlite3-shm", "ledger.sqlite3-wal"), 0o600)


def test_a_link_leads_to_no_other_file(tmp_path: Path) -> None:
    """Whoever may write to the folder could have another file of the owner overwritten."""
    other = tmp_path / "other"
    other.write_bytes(b"")
    other.chmod(0o644)
    (tmp_path / "ledger.sqlite3").symlink_to(other)
    with pytest.raises(OSError, match="symbolic link"):
        FileHashes(tmp_path / "ledger.sqlite3", 60)
    assert (other.read_bytes(), stat.S_IMODE(other.stat().st_mode)) == (b"", 0o644)


def test_what_has_expired_is_searched_once_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search reads the whole file, and each command opens it."""
    path = tmp_path / "ledger.sqlite3"

    def left_at(now: float) -> int:
        monkeypatch.setattr("time.time", lambda: now)
        FileHashes(path, 60).close()
        with sqlite3.connect(path) as database:
            ((rows,),) = database.execute("SELECT count(*) FROM hashes").fetchall()
        return int(rows)

    monkeypatch.setattr("time.time", lambda: 36_000.0)
    hashes = FileHashes(path, 60)
    hashes.put({"key": {"field": b"value"}})
    hashes.close()
    assert left_at(36_100.0) == 1
    assert left_at(39_600.0) == 0
