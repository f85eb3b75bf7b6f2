"""Tag locks without Redis: one locked file for each tag, in a folder that processes share.

The kernel frees the lock of a process that dies, so no lock has to expire. The record of the tag's writes is stored
beside the lock. Old records are removed with their locks, which only the holder of the lock may do.
"""

import hashlib
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from tasks.coordination.local.file_lock import locked
from tasks.coordination.local.in_process import KeyLocks
from tasks.coordination.local.own_file import open_own
from tasks.coordination.tag_record import (
    LANDED,
    LAST,
    RECORD_SECONDS,
    WRITER,
    begun,
    decode,
    encode,
    named,
    record_of,
    under_way,
)
from tasks.errors import LockUnavailable, SettingsInvalid
from tasks.transfer.ports import TagRecord, Writer, Written

_LOCK: Final = ".lock"


class FileTag:
    """A tag held by a file lock, which cannot be lost; its record is at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = Writer("", uuid.uuid4().hex)

    def ensure(self) -> None: ...

    def record(self) -> TagRecord:
        """Return the record of our pushes' writes; raises SettingsInvalid."""
        return record_of(self._read()[0])

    def kept(self, digest: str) -> Written | None:
        """Return the last write if it is of `digest` and its bytes are kept; raises SettingsInvalid."""
        written = self._read()[1]
        return written if written is not None and written.digest == digest else None

    def note_seen(self, held: Written | None, instead_of: str | None) -> None:
        """Record what someone else wrote, unless a push wrote since; raises SettingsInvalid."""
        fields, _ = self._read()
        if fields.get(LAST) == instead_of:
            fields = {name: value for name, value in fields.items() if name not in {LAST, WRITER}}
            kept = held if held is not None and held.content else None
            self._write(fields if held is None else {**fields, LAST: held.digest}, kept)

    def note_writing(self, digest: str, last: str | None, writer: Writer | None = None) -> None:
        """Record a write before it is made; raises SettingsInvalid."""
        fields, written = self._read()
        self._write({**fields, under_way(digest, writer or self._writer): last or ""}, written)

    def note_begun(self, digest: str, writer: Writer) -> None:
        """Record that a write begins; raises SettingsInvalid."""
        fields, written = self._read()
        self._write({**fields, begun(digest, writer): ""}, written)

    def note_landed(self, digest: str, writers: Iterable[Writer]) -> None:
        """Record that the digest of writes that others have begun is at the tag; raises SettingsInvalid."""
        fields, written = self._read()
        self._write({**fields, **{begun(digest, writer): LANDED for writer in writers}}, written)

    def note_written(self, written: Written, writer: Writer | None = None, whose: Writer | None = None) -> None:
        """Record a verified write, unless others wrote since it was announced; raises SettingsInvalid."""
        writer = writer or self._writer
        fields, kept = self._read()
        announced = fields.pop(under_way(written.digest, writer), None)
        fields.pop(begun(written.digest, writer), None)
        if announced is not None and announced != fields.get(LAST, ""):
            self._write(fields, kept)
        else:
            self._write({**fields, LAST: written.digest, WRITER: named(whose or writer)}, written)

    def drop_writing(self, digest: str, writer: Writer) -> None:
        """Record that a write was not begun; raises SettingsInvalid."""
        fields, written = self._read()
        if fields.pop(under_way(digest, writer), None) is not None:
            self._write(fields, written)

    def note_deleted(self) -> None:
        """Record that the tag is gone; raises SettingsInvalid."""
        fields, _ = self._read()
        fields.pop(WRITER, None)
        if fields.pop(LAST, None) is not None:
            self._write(fields, None)

    def _read(self) -> tuple[dict[str, str], Written | None]:
        with _named_failures(self._path.parent), suppress(FileNotFoundError):
            if not _is_stale(self._path):
                return decode(self._path.read_bytes())
        return {}, None

    def _write(self, fields: dict[str, str], written: Written | None) -> None:
        new = self._path.with_suffix(".new")
        with _named_failures(self._path.parent):
            with os.fdopen(open_own(new, os.O_WRONLY | os.O_TRUNC), "wb") as file:
                file.write(encode(fields, written))
            # A process that dies in between leaves the old record, not half a record.
            new.replace(self._path)


class FileTagLocks:
    """Locks by which one push at a time works on a tag, among all threads and processes with the same `folder`.

    The folder is made when the first tag is held. `locks` separate the threads of this process: threads need not poll,
    and some network file systems lock files for whole processes only.
    """

    def __init__(self, folder: Path, locks: KeyLocks, wait_seconds: float) -> None:
        self.wait_seconds = wait_seconds
        self._folder = folder
        self._locks = locks
        self._guard = threading.Lock()
        self._is_ready = False

    @contextmanager
    def hold(self, reference: str, most: float | None = None) -> Iterator[FileTag]:
        """Wait for the tag, at most `most` seconds, and hold it.

        Raises LockUnavailable, SettingsInvalid if the folder is not usable.
        """
        seconds = self.wait_seconds if most is None else min(most, self.wait_seconds)
        ends_at = time.monotonic() + seconds
        path = self._folder / hashlib.sha256(reference.encode()).hexdigest()
        with self._locks.hold(f"tag {reference}", seconds), ExitStack() as held:
            with _named_failures(self._folder):
                self._make_ready()
                try:
                    held.enter_context(locked(path.with_suffix(_LOCK), ends_at - time.monotonic()))
                except TimeoutError:
                    raise LockUnavailable(
                        f"The tag {reference} was held by another push for {seconds:g} seconds."
                    ) from None
            yield FileTag(path)

    def _make_ready(self) -> None:
        with self._guard:
            if self._is_ready:
                return
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path in self._folder.glob(f"*{_LOCK}"):
                _remove_if_stale(path.with_suffix(""))
            self._is_ready = True


def _remove_if_stale(path: Path) -> None:
    # Another process may hold the lock, or has just removed the file.
    with suppress(TimeoutError, FileNotFoundError):
        if not _is_stale(path.with_suffix(_LOCK)):
            return
        with locked(path.with_suffix(_LOCK)):
            # The last holder may have written since.
            if not path.exists() or _is_stale(path):
                path.unlink(missing_ok=True)
                path.with_suffix(_LOCK).unlink()


def _is_stale(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > RECORD_SECONDS


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
