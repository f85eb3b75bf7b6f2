from contextlib import ExitStack
from pathlib import Path

import pytest

from tasks.coordination.local.file_lock import locked


def test_a_file_is_locked_once(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path), pytest.raises(TimeoutError), locked(path):
        pass
    with locked(path):
        assert path.stat().st_mode & 0o777 == 0o600


def test_the_lock_of_a_removed_file_is_not_that_of_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever opened the file before its holder removed it must not believe to hold the file that others made since."""
    path = tmp_path / "lock"
    with ExitStack() as holder:
        holder.enter_context(locked(path))

        def leave(_: float) -> None:
            path.unlink()
            holder.close()

        monkeypatch.setattr("tasks.coordination.local.file_lock.time.sleep", leave)
        with locked(path, 30), pytest.raises(TimeoutError), locked(path):
            pass


def test_a_lock_is_no_link_to_another_file(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="lock"), locked(tmp_path / "lock"):
        pass
