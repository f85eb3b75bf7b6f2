"""A push that waits for a tag of another push says so (BEHAVIOUR 8.6)."""

import threading
from pathlib import Path

import pytest

from tasks.coordination.local.in_process import KeyLocks
from tasks.coordination.local.tag_locks import FileTagLocks
from tasks.errors import ImagePusherError, LockUnavailable
from tasks.transfer.publish import awaited_locks
from tasks.transfer.publish.awaited_locks import AwaitedLocks
from tests.support.processes import wait_until

TAG = "b.example/x:1"
Told = tuple[str, str | None, float]


def locks_of(folder: Path, wait_seconds: float, told: list[Told]) -> tuple[FileTagLocks, AwaitedLocks]:
    locks = FileTagLocks(folder, KeyLocks(), wait_seconds)

    def held_up(part: str, error: ImagePusherError | None, seconds: float) -> None:
        told.append((part, error.message if error else None, seconds))

    return locks, AwaitedLocks(locks, held_up)


def test_a_free_tag_is_held_without_a_word(tmp_path: Path) -> None:
    told: list[Told] = []
    _, awaited = locks_of(tmp_path, 60, told)
    with awaited.hold(TAG) as lock:
        lock.ensure()
    assert told == []


def test_a_wait_is_told_with_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaited_locks, "_UNTOLD_SECONDS", 0.01)
    told: list[Told] = []
    locks, awaited = locks_of(tmp_path, 600, told)
    begins = (TAG, f"The tag {TAG} is held by another push.", 600.0)
    held = threading.Event()

    def hold() -> None:
        with awaited.hold(TAG):
            held.set()

    waiting = threading.Thread(target=hold)
    with locks.hold(TAG):
        waiting.start()
        wait_until(lambda: told == [begins], "the wait is not told")
        assert not held.is_set()
    waiting.join()
    assert held.is_set()
    assert told == [begins, (TAG, None, 0.0)]


def test_a_wait_that_is_in_vain_ends_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaited_locks, "_UNTOLD_SECONDS", 0.01)
    told: list[Told] = []
    locks, awaited = locks_of(tmp_path, 0.05, told)
    with locks.hold(TAG), pytest.raises(LockUnavailable, match=r"0\.05 seconds"), awaited.hold(TAG):
        pass
    assert [seconds for _, _, seconds in told] == [0.05, 0.0]
