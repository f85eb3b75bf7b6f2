"""Tag locks in memory that a test takes away from their holder, as the end of a lease does."""

import uuid
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager

from tasks.coordination.tag_record import LANDED, LAST, WRITER, begun, named, record_of, under_way
from tasks.errors import LockLost, StateUnavailable
from tasks.transfer.ports import TagRecord, Writer, Written


class MemoryTag:
    """A tag that is held until another one is held under the same name."""

    def __init__(self, locks: "MemoryTagLocks", reference: str) -> None:
        self._locks = locks
        self._reference = reference
        self._writer = Writer("", uuid.uuid4().hex)
        self._fields = locks.fields.setdefault(reference, {})

    def ensure(self) -> None:
        if self._locks.holder.get(self._reference) is not self:
            raise LockLost(f"The tag {self._reference} is no longer held by this push.")

    def record(self) -> TagRecord:
        return record_of(self._fields)

    def kept(self, digest: str) -> Written | None:
        written = self._locks.written.get(self._reference)
        return written if written is not None and written.digest == digest else None

    def note_seen(self, held: Written | None, instead_of: str | None) -> None:
        if self._fields.get(LAST) != instead_of:
            return
        self.note_deleted()
        if held is not None:
            self._fields[LAST] = held.digest
            self._locks.written[self._reference] = held

    def drop_writing(self, digest: str, writer: Writer) -> None:
        self._fields.pop(under_way(digest, writer), None)

    def note_writing(self, digest: str, last: str | None, writer: Writer | None = None) -> None:
        self._locks.steps += 1
        if self._locks.steps == self._locks.away_at:
            raise StateUnavailable("The record of a tag's writes cannot be told.")
        if self._locks.steps in self._locks.lost_at:
            self._locks.holder.clear()
        self._fields[under_way(digest, writer or self._writer)] = last or ""

    def note_begun(self, digest: str, writer: Writer) -> None:
        self._fields[begun(digest, writer)] = ""

    def note_landed(self, digest: str, writers: Iterable[Writer]) -> None:
        self._fields |= {begun(digest, writer): LANDED for writer in writers}

    def note_written(self, written: Written, writer: Writer | None = None, whose: Writer | None = None) -> None:
        writer = writer or self._writer
        announced = self._fields.pop(under_way(written.digest, writer), None)
        self._fields.pop(begun(written.digest, writer), None)
        if announced is not None and announced != self._fields.get(LAST, ""):
            return
        self._fields |= {LAST: written.digest, WRITER: named(whose or writer)}
        self._locks.written[self._reference] = written

    def note_deleted(self) -> None:
        self._fields.pop(LAST, None)
        self._fields.pop(WRITER, None)
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
