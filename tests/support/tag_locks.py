"""Tag locks in memory that a test takes away from their holder, as the end of a lease does."""

import uuid
from collections.abc import Container, Iterator
from contextlib import contextmanager

from tasks.coordination.tag_record import LAST, record_of, under_way
from tasks.errors import LockLost, StateUnavailable
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
        self._locks.steps += 1
        if self._locks.steps == self._locks.away_at:
            raise StateUnavailable("The record of a tag's writes cannot be told.")
        if self._locks.steps in self._locks.lost_at:
            self._locks.holder.clear()
        self._fields[under_way(digest, self._writer)] = last or ""

    def note_written(self, written: Written) -> None:
        self._fields.pop(under_way(written.digest, self._writer), None)
        self._fields[LAST] = written.digest
        self._locks.written[self._reference] = written

    def note_deleted(self) -> None:
        self._fields.pop(LAST, None)
        self._locks.written.pop(self._reference, None)


class MemoryTagLocks:
    """Locks that whoever comes later takes away; `written` are the last writes with their bytes.

    Their Redis is away when the write number `away_at` is noted; with those in `lost_at` all locks are lost.
    """

    wait_seconds = 0.0

    def __init__(self) -> None:
        self.holder: dict[str, MemoryTag] = {}
        self.fields: dict[str, dict[str, str]] = {}
        self.written: dict[str, Written] = {}
        self.steps = 0
        self.away_at: int | None = None
        self.lost_at: Container[int] = ()

    @contextmanager
    def hold(self, reference: str, most: float | None = None) -> Iterator[MemoryTag]:
        del most
        tag = self.holder[reference] = MemoryTag(self, reference)
        yield tag
