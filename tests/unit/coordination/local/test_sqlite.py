"""The ledger's file, when several processes make it at once."""

import os
import sqlite3
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from tasks.coordination.local.sqlite import FileHashes


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
