"""The locks of tags in Redis, each with the record of our writes at its tag (BEHAVIOUR 7.1, 7.6)."""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, cast

import redis
from redis.commands.core import Script

from tasks import telemetry
from tasks.coordination.redis.failures import named_failures
from tasks.coordination.redis.leases import Lease, Leases
from tasks.coordination.redis.lock_wait import timed
from tasks.coordination.tag_record import (
    BYTES_SECONDS,
    LANDED,
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
# Ends the write ARGV[1] of a record, which began as ARGV[2]; unless others wrote since it was announced, its digest
# ARGV[3] by ARGV[4] is the last write. ARGV[6] are its bytes, "" if too many.
WRITTEN: Final = f"""
    local announced = redis.call('hget', KEYS[1], ARGV[1])
    redis.call('hdel', KEYS[1], ARGV[1], ARGV[2])
    if announced and announced ~= (redis.call('hget', KEYS[1], '{LAST}') or '') then
        return 0
    end
    redis.call('hset', KEYS[1], '{LAST}', ARGV[3], '{WRITER}', ARGV[4])
    redis.call('expire', KEYS[1], ARGV[5])
    redis.call('del', KEYS[2])
    if ARGV[6] ~= '' then
        redis.call('set', KEYS[2], ARGV[6], 'EX', ARGV[7])
    end
    return 1
"""


class Scripts(NamedTuple):
    """The steps of a record that are more than one command."""

    seen: Script
    written: Script


class LeasedTag:
    """A held tag, and the record of our pushes' writes there.

    One hash holds the digests; a separate key holds the bytes of the last write, which are read only on demand.
    """

    def __init__(self, lease: Lease, client: redis.Redis, scripts: Scripts, prefix: str, reference: str) -> None:
        self._lease = lease
        self._client = client
        self._scripts = scripts
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
            self._scripts.seen(
                keys=[self._record_key, self._bytes_key],
                args=[instead_of or "", digest, RECORD_SECONDS, kept, BYTES_SECONDS],
            )

    def note_writing(self, digest: str, last: str | None, writer: Writer | None = None) -> None:
        """Record a write before it is made; raises StateUnavailable."""
        self._put({under_way(digest, writer or self._writer): last or ""})

    def note_begun(self, digest: str, writer: Writer) -> None:
        """Record that a write begins; raises StateUnavailable."""
        self._put({begun(digest, writer): ""})

    def note_landed(self, digest: str, writers: Iterable[Writer]) -> None:
        """Record that the digest of writes that others have begun is at the tag; raises StateUnavailable."""
        self._put({begun(digest, writer): LANDED for writer in writers})

    def drop_writing(self, digest: str, writer: Writer) -> None:
        """Record that a write was not begun; raises StateUnavailable."""
        with named_failures(_RECORD):
            self._client.hdel(self._record_key, under_way(digest, writer))

    def note_written(self, written: Written, writer: Writer | None = None, whose: Writer | None = None) -> None:
        """Record a verified write, unless others wrote since it was announced; raises StateUnavailable."""
        digest, writer = written.digest, writer or self._writer
        kept = pack(written) if len(written.content) <= MOST_BYTES else b""
        ends = under_way(digest, writer), begun(digest, writer)
        with named_failures(_RECORD):
            self._scripts.written(
                keys=[self._record_key, self._bytes_key],
                args=[*ends, digest, named(whose or writer), RECORD_SECONDS, kept, BYTES_SECONDS],
            )

    def note_deleted(self) -> None:
        """Record that the tag is gone; raises StateUnavailable."""
        with named_failures(_RECORD), self._client.pipeline(transaction=True) as pipeline:
            pipeline.hdel(self._record_key, LAST, WRITER)
            pipeline.delete(self._bytes_key)
            pipeline.execute()

    def _put(self, fields: Mapping[str, str]) -> None:
        with named_failures(_RECORD), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hset(self._record_key, mapping=cast("dict[Any, Any]", fields))
            pipeline.expire(self._record_key, RECORD_SECONDS)
            pipeline.execute()


class LeasedTagLocks:
    """Locks by which one push at a time works on a tag."""

    def __init__(self, leases: Leases, prefix: str, wait_seconds: float) -> None:
        self.wait_seconds = wait_seconds
        self._leases = leases
        self._prefix = prefix
        self._scripts = Scripts(leases.client.register_script(SEEN), leases.client.register_script(WRITTEN))

    @contextmanager
    def hold(self, reference: str, most: float | None = None) -> Iterator[LeasedTag]:
        """Wait for the tag, at most `most` seconds, and hold it; raises LockUnavailable, StateUnavailable."""
        seconds = self.wait_seconds if most is None else min(most, self.wait_seconds)
        with (
            timed(telemetry.TAG_LOCK) as acquired,
            self._leases.hold(f"{self._prefix}tag:{reference}", f"The tag {reference}", seconds) as lease,
        ):
            acquired()
            yield LeasedTag(lease, self._leases.client, self._scripts, self._prefix, reference)
