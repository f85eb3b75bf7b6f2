"""Tag locks in memory that a test takes away from their holder, as the end of a lease does."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.coordination.tag_record import LAST, record_of, under_way
from tasks.errors import LockLost
from tasks.transfer.ports import TagRecord, Written


class MemoryTag:
    """A tag that is held until another one is held under the same name."""

    def __init__(self, locks: "MemoryTagLocks", reference: str) -> None:
        self._locks = locks
        self._reference = reference
        self._writer = uuid.uuid4().hex
        self._fields = locks.fields.setdefault(reference, {})

    def ensure(self) -> None:
        if self._locks.holder.get(self._reference) is not self:
            raise LockLost(f"The tag {self._reference} is no longer held by this push.")

    def record(self) -> TagRecord:
        return record_of(self._fields)

    def kept(self, digest: str) -> Written | None:
        written = self._locks.written.get(self._reference)
        return written if written is not None and written.digest == digest else None

    def note_writing(self, digest: str, last: str | None) -> None:
        self._fields[under_way(digest, self._writer)] = last or ""

    def note_written(self, written: Written) -> None:
        self._fields.pop(under_way(written.digest, self._writer), None)
        self._fields[LAST] = written.digest
        self._locks.written[self._reference] = written


class MemoryTagLocks:
    """Locks that whoever comes later takes away; `written` are the last writes with their bytes."""

    def __init__(self) -> None:
        self.holder: dict[str, MemoryTag] = {}
        self.fields: dict[str, dict[str, str]] = {}
        self.written: dict[str, Written] = {}

    @contextmanager
    def hold(self, reference: str) -> Iterator[MemoryTag]:
        tag = self.holder[reference] = MemoryTag(self, reference)
        yield tag
