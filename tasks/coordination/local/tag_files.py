"""Tag locks where there is no Redis: one file for each tag, locked by flock(2), in a folder that processes share.

The kernel frees the lock of a process that dies, so nothing has to expire. The file holds the record of the
tag's writes. Files whose record is too old are removed, which only the holder of their lock may do.
"""

import fcntl
import hashlib
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tasks.coordination.local.in_process import KeyLocks
from tasks.coordination.tag_record import LAST, RECORD_SECONDS, decode, encode, record_of, under_way
from tasks.errors import LockUnavailable, SettingsInvalid
from tasks.transfer.ports import TagRecord, Written

_POLL_SECONDS: Final = 0.02


class FileTag:
    """A tag that is held by the lock of an open file, which is never lost."""

    def __init__(self, descriptor: int, folder: Path) -> None:
        self._descriptor = descriptor
        self._folder = folder
        self._writer = uuid.uuid4().hex

    def ensure(self) -> None: ...

    def record(self) -> TagRecord:
        """Return the writes of pushes of ours; raises SettingsInvalid."""
        return record_of(self._read()[0])

    def kept(self, digest: str) -> Written | None:
        """Return the last write with its bytes, if it is `digest` and they are kept; raises SettingsInvalid."""
        written = self._read()[1]
        return written if written is not None and written.digest == digest else None

    def note_writing(self, digest: str, last: str | None) -> None:
        """Note a write before it is made; raises SettingsInvalid."""
        fields, written = self._read()
        self._write({**fields, under_way(digest, self._writer): last or ""}, written)

    def note_written(self, written: Written) -> None:
        """Note a write that was verified; raises SettingsInvalid."""
        fields, _ = self._read()
        fields.pop(under_way(written.digest, self._writer), None)
        self._write({**fields, LAST: written.digest}, written)

    def _read(self) -> tuple[dict[str, str], Written | None]:
        with _named_failures(self._folder):
            status = os.fstat(self._descriptor)
            if _is_stale(status):
                return {}, None
            return decode(os.pread(self._descriptor, status.st_size, 0))

    def _write(self, fields: dict[str, str], written: Written | None) -> None:
        with _named_failures(self._folder):
            # A process that dies in between leaves nothing, not half of a record.
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, encode(fields, written), 0)


class FileTagLocks:
    """One push at a time works on a tag, among all threads and processes that use the same `folder`.

    The folder is made when the first tag is held. `locks` keep the threads of this process apart: they need not poll,
    and some network file systems lock files for whole processes only.
    """

    def __init__(self, folder: Path, locks: KeyLocks, wait_seconds: float) -> None:
        self._folder = folder
        self._locks = locks
        self._wait_seconds = wait_seconds
        self._guard = threading.Lock()
        self._is_ready = False

    @contextmanager
    def hold(self, reference: str) -> Iterator[FileTag]:
        """Wait for the tag and hold it; raises LockUnavailable, SettingsInvalid where the folder cannot be used."""
        ends_at = time.monotonic() + self._wait_seconds
        with self._locks.hold(f"tag {reference}", self._wait_seconds):
            with _named_failures(self._folder):
                self._make_ready()
                descriptor = self._acquire(reference, ends_at)
            if descriptor is None:
                raise LockUnavailable(
                    f"The tag {reference} was held by another push for {self._wait_seconds:g} seconds."
                )
            try:
                yield FileTag(descriptor, self._folder)
            finally:
                _release(descriptor)

    def _make_ready(self) -> None:
        with self._guard:
            if self._is_ready:
                return
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _remove_stale(self._folder)
            self._is_ready = True

    def _acquire(self, reference: str, ends_at: float) -> int | None:
        """Return the descriptor of the tag's locked file, None when the time is over."""
        path = self._folder / hashlib.sha256(reference.encode()).hexdigest()
        while True:
            descriptor = _lock(path, os.O_RDWR | os.O_CREAT)
            if descriptor is not None:
                return descriptor
            if time.monotonic() >= ends_at:
                return None
            time.sleep(_POLL_SECONDS)


def _lock(path: Path, flags: int) -> int | None:
    """Return the descriptor of a file that is locked, None if somebody else holds it or has just removed it."""
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A file that was removed between the two calls keeps nobody else out.
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _release(descriptor: int) -> None:
    try:
        # Closing alone would leave the lock to a child that was forked meanwhile.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _is_stale(status: os.stat_result) -> bool:
    return time.time() - status.st_mtime > RECORD_SECONDS


def _remove_stale(folder: Path) -> None:
    for path in folder.iterdir():
        try:
            descriptor = _lock(path, os.O_RDWR) if _is_stale(path.stat()) else None
        except FileNotFoundError:
            continue
        if descriptor is None:
            continue
        try:
            # Its last holder may have written since.
            if _is_stale(os.fstat(descriptor)):
                path.unlink()
        finally:
            _release(descriptor)


@contextmanager
def _named_failures(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsInvalid(
            f"Tags cannot be locked in {folder}: {reason}. Let state_dir (IMAGEPUSHER_STATE_DIR) name a folder that you"
            " may write to."
        ) from None
