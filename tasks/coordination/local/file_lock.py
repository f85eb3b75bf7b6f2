"""A lock of a file among processes; the kernel frees it when its process ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tasks.coordination.local.own_file import open_own

_POLL_SECONDS: Final = 0.02


@contextmanager
def locked(path: Path, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock of a file, made if it is absent, for the block; its holder may remove the file.

    Waits up to `patience` seconds, and raises TimeoutError if another process still holds it; raises OSError.
    """
    descriptor = _take(path, time.monotonic() + patience)
    try:
        yield
    finally:
        # Closing the last descriptor of an opened file frees its lock.
        os.close(descriptor)


def _take(path: Path, ends_at: float) -> int:
    while True:
        descriptor = open_own(path, os.O_RDWR)
        try:
            _lock(descriptor, ends_at)
            if _is_file_of(descriptor, path):
                # Whoever removes old locks sees that this one is in use.
                os.utime(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, ends_at: float) -> None:
    """Lock an open file before `ends_at`, on the monotonic clock; raises TimeoutError."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            left = ends_at - time.monotonic()
            if left <= 0:
                raise TimeoutError("the lock is held") from None
            time.sleep(min(left, _POLL_SECONDS))
        else:
            return


def _is_file_of(descriptor: int, path: Path) -> bool:
    """Tell whether an open file is still at its path: its last holder may have removed it, and others made it anew."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False
