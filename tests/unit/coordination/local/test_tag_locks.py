"""Tag locks in files: among the threads of a process, and among processes that share a state folder."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tasks.coordination.local.in_process import KeyLocks
from tasks.coordination.local.tag_locks import FileTagLocks
from tasks.errors import LockUnavailable, SettingsInvalid
from tasks.transfer.ports import TagRecord, Written
from tests.support.tag_notes import check_notes_of_a_writer_that_stood_still, check_notes_of_others

TAG = "registry.example/x:1"
LONG_AGO = 86_500
# Hold the tag, say so, and end with the input.
HOLDER = f"""
import sys
from pathlib import Path
from tasks.coordination.local.in_process import KeyLocks
from tasks.coordination.local.tag_locks import FileTagLocks
from tasks.transfer.ports import Written

with FileTagLocks(Path(sys.argv[1]), KeyLocks(), 30).hold({TAG!r}) as tag:
    tag.note_written(Written("sha256:theirs", "m", b"content"))
    print("held", flush=True)
    sys.stdin.read()
"""
# Add to a number in a file, slowly: what overlaps is lost.
ADDER = f"""
import sys, time
from pathlib import Path
from tasks.coordination.local.in_process import KeyLocks
from tasks.coordination.local.tag_locks import FileTagLocks

locks, number = FileTagLocks(Path(sys.argv[1]), KeyLocks(), 30), Path(sys.argv[2])
print("ready", flush=True)
sys.stdin.read()
for _ in range(10):
    with locks.hold({TAG!r}):
        before = int(number.read_text())
        time.sleep(0.002)
        number.write_text(str(before + 1))
"""


def locks_of(folder: Path, wait_seconds: float = 0.05) -> FileTagLocks:
    """Return locks as another process would have them: nothing but the folder is shared."""
    return FileTagLocks(folder / "tags", KeyLocks(), wait_seconds)


def start(program: str, *arguments: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def written(digest: str) -> Written:
    return Written(digest, "application/json", b'{\n"of": 1}\n')


def age(folder: Path) -> None:
    """Make all files of the locks seem to have been written long ago."""
    for path in (folder / "tags").iterdir():
        os.utime(path, (time.time() - LONG_AGO,) * 2)


def test_a_tag_is_held_by_one_push_at_a_time_and_remembers_what_was_written(tmp_path: Path) -> None:
    """Rule 7.1."""
    locks = locks_of(tmp_path)
    with locks.hold(TAG) as tag:
        tag.ensure()
        assert tag.record() == TagRecord()
        tag.note_written(written("sha512:a longer one"))
        tag.note_written(written("sha256:a"))
        for others in (locks, locks_of(tmp_path)):
            with pytest.raises(LockUnavailable, match=TAG), others.hold(TAG):
                pass
        with locks.hold("registry.example/x:2") as other:
            assert other.record() == TagRecord()
    with locks_of(tmp_path).hold(TAG) as again:
        assert (again.record().last, again.kept("sha256:a")) == ("sha256:a", written("sha256:a"))


def test_what_others_wrote_is_noted_unless_a_push_wrote_since(tmp_path: Path) -> None:
    with locks_of(tmp_path).hold(TAG) as tag:
        check_notes_of_others(tag)


def test_a_writer_that_stood_still_does_not_replace_the_note_of_a_later_one(tmp_path: Path) -> None:
    with locks_of(tmp_path).hold(TAG) as tag:
        check_notes_of_a_writer_that_stood_still(tag)


def test_threads_take_turns(tmp_path: Path) -> None:
    """Rule 7.1: whether they share the locks or only the folder."""
    holding, most = 0, 0

    def hold(locks: FileTagLocks) -> None:
        nonlocal holding, most
        with locks.hold(TAG):
            holding += 1
            most = max(most, holding)
            time.sleep(0.005)
            holding -= 1

    shared = locks_of(tmp_path, 30)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(hold, [shared] * 4 + [locks_of(tmp_path, 30) for _ in range(4)]))
    assert (most, holding) == (1, 0)


def test_processes_take_turns(tmp_path: Path) -> None:
    """Rule 7.1."""
    number = tmp_path / "number"
    number.write_text("0")
    with ExitStack() as running:
        adders = [running.enter_context(start(ADDER, tmp_path / "tags", number)) for _ in range(3)]
        for adder in adders:
            assert adder.stdout is not None
            assert adder.stdout.readline() == b"ready\n"
        for adder in adders:
            assert adder.stdin is not None
            adder.stdin.close()
    assert [adder.returncode for adder in adders] == [0] * 3
    assert number.read_text() == "30"


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_dies_frees_its_tag(tmp_path: Path, end: signal.Signals) -> None:
    """Rule 7.4: and what it wrote is known."""
    with start(HOLDER, tmp_path / "tags") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LockUnavailable), locks_of(tmp_path).hold(TAG):
            pass
        holder.send_signal(end)
    with locks_of(tmp_path).hold(TAG) as tag:
        assert tag.record().last == "sha256:theirs"


def test_who_waits_gets_the_tag_once_it_is_free(tmp_path: Path) -> None:
    with start(HOLDER, tmp_path / "tags") as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        seen: list[str | None] = []

        def wait() -> None:
            with locks_of(tmp_path, 30).hold(TAG) as tag:
                seen.append(tag.record().last)

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert holder.stdin is not None
        holder.stdin.close()
        waiting.join()
    assert seen == ["sha256:theirs"]


def test_what_was_written_long_ago_is_forgotten(tmp_path: Path) -> None:
    """As the Redis locks do: whoever came to write it is long done."""
    with locks_of(tmp_path).hold(TAG) as tag:
        tag.note_written(written("sha256:a"))
        age(tmp_path)
        assert tag.record() == TagRecord()


def test_only_files_of_the_last_day_stay_and_those_that_are_held(tmp_path: Path) -> None:
    with locks_of(tmp_path).hold("registry.example/x:old"):
        pass
    with locks_of(tmp_path).hold(TAG):
        age(tmp_path)
        with locks_of(tmp_path).hold("registry.example/x:new"):
            pass
        with pytest.raises(LockUnavailable), locks_of(tmp_path).hold(TAG):
            pass
    assert len(list((tmp_path / "tags").iterdir())) == 2


def test_a_file_that_was_removed_while_one_waited_for_it_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 7.1: the next one to come would make a new file, and hold the tag as well."""
    lock_file: Callable[..., None] = fcntl.flock
    removed: list[Path] = []

    def remove_and_lock(descriptor: int, operation: int) -> None:
        if not removed:
            removed.extend((tmp_path / "tags").glob("*.lock"))
            for path in removed:
                path.unlink()
        lock_file(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_and_lock)
    with locks_of(tmp_path).hold(TAG):
        assert len(removed) == 1
        with pytest.raises(LockUnavailable), locks_of(tmp_path).hold(TAG):
            pass


def test_nothing_is_made_before_a_tag_is_held(tmp_path: Path) -> None:
    locks_of(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_used_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "tags").write_text("not a folder")
    with pytest.raises(SettingsInvalid, match=f"Tags cannot be locked in {tmp_path / 'tags'}: File exists"):
        locks_of(tmp_path).hold(TAG).__enter__()


def test_a_link_leads_to_no_other_file(tmp_path: Path) -> None:
    """Whoever may write to the folder could have another file of the owner overwritten."""
    other = tmp_path / "other"
    other.write_bytes(b"mine")
    with locks_of(tmp_path).hold(TAG) as tag:
        tag._path.with_suffix(".new").symlink_to(other)
        with pytest.raises(SettingsInvalid, match="symbolic link"):
            tag.note_written(written("sha256:a"))
    assert other.read_bytes() == b"mine"
