"""The locks of tags in Redis, each with the record of our writes at its tag (BEHAVIOUR 7.1, 7.6)."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

import redis
from redis.commands.core import Script

from tasks import telemetry
from tasks.coordination.redis.failures import named_failures
from tasks.coordination.redis.leases import Lease, Leases
from tasks.coordination.redis.lock_wait import timed
from tasks.coordination.tag_record import (
    BYTES_SECONDS,
    LAST,
    MOST_BYTES,
    RECORD_SECONDS,
    WRITER,
    begun,
    named,
    pack,
    record_of,
    under_way,
    unpack,
)
from tasks.transfer.ports import TagRecord, Writer, Written

_RECORD: Final = "The record of a tag's writes"
# Sets the last write of a record to ARGV[2], or to none, if it still is ARGV[1]; ARGV[4] are its bytes, "" if too many.
SEEN: Final = f"""
    if (redis.call('hget', KEYS[1], '{LAST}') or '') ~= ARGV[1] then
        return 0
    end
    redis.call('hdel', KEYS[1], '{LAST}', '{WRITER}')
    redis.call('del', KEYS[2])
    if ARGV[2] ~= '' then
        redis.call('hset', KEYS[1], '{LAST}', ARGV[2])
    end
    redis.call('expire', KEYS[1], ARGV[3])
    if ARGV[4] ~= '' then
        redis.call('set', KEYS[2], ARGV[4], 'EX', ARGV[5])
    end
    return 1
"""


class LeasedTag:
    """A held tag, and the record of our pushes' writes there.

    One hash holds the digests; a separate key holds the bytes of the last write, which are read only on demand.
    """

    def __init__(self, lease: Lease, client: redis.Redis, seen: Script, prefix: str, reference: str) -> None:
        self._lease = lease
        self._client = client
        self._seen = seen
        self._record_key = f"{prefix}written:{reference}"
        self._bytes_key = f"{prefix}written-bytes:{reference}"
        self._writer = Writer("", uuid.uuid4().hex)

    def ensure(self) -> None:
        """Raise LockLost unless the tag is still held."""
        self._lease.ensure()

    def record(self) -> TagRecord:
        """Return the record of our pushes' writes; raises StateUnavailable."""
        with named_failures(_RECORD):
            fields = cast("dict[bytes, bytes]", self._client.hgetall(self._record_key))
        return record_of({name.decode(): value.decode() for name, value in fields.items()})

    def kept(self, digest: str) -> Written | None:
        """Return the last write if it is of `digest` and its bytes are kept; raises StateUnavailable."""
        with named_failures(_RECORD):
            found = cast("bytes | None", self._client.get(self._bytes_key))
        written = None if found is None else unpack(found)
        return written if written is not None and written.digest == digest else None

    def note_seen(self, held: Written | None, instead_of: str | None) -> None:
        """Record what someone else wrote, unless a push wrote since; raises StateUnavailable."""
        digest = "" if held is None else held.digest
        kept = b"" if held is None or not 0 < len(held.content) <= MOST_BYTES else pack(held)
        with named_failures(_RECORD):
            self._seen(
                keys=[self._record_key, self._bytes_key],
                args=[instead_of or "", digest, RECORD_SECONDS, kept, BYTES_SECONDS],
            )

    def note_writing(self, digest: str, last: str | None, writer: Writer | None = None) -> None:
        """Record a write before it is made; raises StateUnavailable."""
        self._note(under_way(digest, writer or self._writer), last or "")

    def note_begun(self, digest: str, writer: Writer) -> None:
        """Record that a write begins; raises StateUnavailable."""
        self._note(begun(digest, writer), "")

    def drop_writing(self, digest: str, writer: Writer) -> None:
        """Record that a write was not begun; raises StateUnavailable."""
        with named_failures(_RECORD):
            self._client.hdel(self._record_key, under_way(digest, writer))

    def note_written(self, written: Written, writer: Writer | None = None) -> None:
        """Record a verified write; raises StateUnavailable."""
        writer = writer or self._writer
        with named_failures(_RECORD), self._client.pipeline(transaction=True) as pipeline:
            pipeline.hset(self._record_key, mapping={LAST: written.digest, WRITER: named(writer)})
            pipeline.hdel(self._record_key, under_way(written.digest, writer), begun(written.digest, writer))
            pipeline.expire(self._record_key, RECORD_SECONDS)
            if len(written.content) <= MOST_BYTES:
                pipeline.set(self._bytes_key, pack(written), ex=BYTES_SECONDS)
            else:
                pipeline.delete(self._bytes_key)
            pipeline.execute()

    def note_deleted(self) -> None:
        """Record that the tag is gone; raises StateUnavailable."""
        with named_failures(_RECORD), self._client.pipeline(transaction=True) as pipeline:
            pipeline.hdel(self._record_key, LAST, WRITER)
            pipeline.delete(self._bytes_key)
            pipeline.execute()

    def _note(self, field: str, value: str) -> None:
        with named_failures(_RECORD), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hset(self._record_key, field, value)
            pipeline.expire(self._record_key, RECORD_SECONDS)
            pipeline.execute()


class LeasedTagLocks:
    """Locks by which one push at a time works on a tag."""

    def __init__(self, leases: Leases, prefix: str, wait_seconds: float) -> None:
        self.wait_seconds = wait_seconds
        self._leases = leases
        self._prefix = prefix
        self._seen = leases.client.register_script(SEEN)

    @contextmanager
    def hold(self, reference: str, most: float | None = None) -> Iterator[LeasedTag]:
        """Wait for the tag, at most `most` seconds, and hold it; raises LockUnavailable, StateUnavailable."""
        seconds = self.wait_seconds if most is None else min(most, self.wait_seconds)
        with (
            timed(telemetry.TAG_LOCK) as acquired,
            self._leases.hold(f"{self._prefix}tag:{reference}", f"The tag {reference}", seconds) as lease,
        ):
            acquired()
            yield LeasedTag(lease, self._leases.client, self._seen, self._prefix, reference)
