"""The locks of tags in Redis, each with the record of our writes at its tag (BEHAVIOUR 7.1, 7.6)."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

import redis

from tasks import telemetry
from tasks.coordination.redis.failures import named_failures
from tasks.coordination.redis.leases import Lease, Leases
from tasks.coordination.redis.lock_wait import timed
from tasks.coordination.tag_record import (
    BYTES_SECONDS,
    LAST,
    MOST_BYTES,
    RECORD_SECONDS,
    pack,
    record_of,
    under_way,
    unpack,
)
from tasks.transfer.ports import TagRecord, Written

_RECORD: Final = "The record of a tag's writes"


class LeasedTag:
    """A held tag, and the record of our pushes' writes there.

    One hash holds the digests; a separate key holds the bytes of the last write, which are read only on demand.
    """

    def __init__(self, lease: Lease, client: redis.Redis, prefix: str, reference: str) -> None:
        self._lease = lease
        self._client = client
        self._record_key = f"{prefix}written:{reference}"
        self._bytes_key = f"{prefix}written-bytes:{reference}"
        self._writer = uuid.uuid4().hex

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

    def note_writing(self, digest: str, last: str | None) -> None:
        """Record a write before it is made; raises StateUnavailable."""
        with named_failures(_RECORD), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hset(self._record_key, under_way(digest, self._writer), last or "")
            pipeline.expire(self._record_key, RECORD_SECONDS)
            pipeline.execute()

    def note_written(self, written: Written) -> None:
        """Record a verified write; raises StateUnavailable."""
        with named_failures(_RECORD), self._client.pipeline(transaction=True) as pipeline:
            pipeline.hset(self._record_key, LAST, written.digest)
            pipeline.hdel(self._record_key, under_way(written.digest, self._writer))
            pipeline.expire(self._record_key, RECORD_SECONDS)
            if len(written.content) <= MOST_BYTES:
                pipeline.set(self._bytes_key, pack(written), ex=BYTES_SECONDS)
            else:
                pipeline.delete(self._bytes_key)
            pipeline.execute()

    def note_deleted(self) -> None:
        """Record that the tag is gone; raises StateUnavailable."""
        with named_failures(_RECORD), self._client.pipeline(transaction=True) as pipeline:
            pipeline.hdel(self._record_key, LAST)
            pipeline.delete(self._bytes_key)
            pipeline.execute()


class LeasedTagLocks:
    """Locks by which one push at a time works on a tag."""

    def __init__(self, leases: Leases, prefix: str, wait_seconds: float) -> None:
        self.wait_seconds = wait_seconds
        self._leases = leases
        self._prefix = prefix

    @contextmanager
    def hold(self, reference: str, most: float | None = None) -> Iterator[LeasedTag]:
        """Wait for the tag, at most `most` seconds, and hold it; raises LockUnavailable, StateUnavailable."""
        seconds = self.wait_seconds if most is None else min(most, self.wait_seconds)
        with (
            timed(telemetry.TAG_LOCK) as acquired,
            self._leases.hold(f"{self._prefix}tag:{reference}", f"The tag {reference}", seconds) as lease,
        ):
            acquired()
            yield LeasedTag(lease, self._leases.client, self._prefix, reference)
