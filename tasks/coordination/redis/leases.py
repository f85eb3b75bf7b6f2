"""Leases on Redis keys, renewed while they are held: the base of the tag lock and the single flight.

After the death of a holder the others wait until its lease ends. A lease is no fence: its holder calls `ensure` right
before a write, and verifies the write afterwards.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Final, cast

import redis
from redis.commands.core import Script
from redis.exceptions import LockError, RedisError
from redis.lock import Lock

from tasks import telemetry
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
from tasks.errors import ImagePusherError, LockLost, LockUnavailable, PartBusy, StateUnavailable
from tasks.transfer.ports import TagRecord, Writer, Written

_RENEWALS_A_LEASE: Final = 3
_RECORD: Final = "The record of a tag's writes"
# Extends each key of KEYS to ARGV[1] milliseconds if it still holds its token, one of the further ARGV; tells which.
RENEWAL: Final = """
    local renewed = {}
    for place, key in ipairs(KEYS) do
        if redis.call('get', key) == ARGV[place + 1] then
            renewed[place] = redis.call('pexpire', key, ARGV[1])
        else
            renewed[place] = 0
        end
    end
    return renewed
"""
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


class Lease:
    """A held key; `pulse` is called with each renewal."""

    def __init__(self, lock: Lock, key: str, token: str, named: str, pulse: Callable[[], None]) -> None:
        self.key = key
        self.token = token
        self.pulse = pulse
        self._lock = lock
        self._named = named

    def ensure(self) -> None:
        """Raise LockLost unless the key is still held."""
        try:
            held = self._lock.owned()
        except RedisError as error:
            raise LockLost(f"Whether {self._named} is still held cannot be told: {type(error).__name__}.") from None
        if not held:
            raise LockLost(f"{self._named} is no longer held by this push.")

    def release(self) -> None:
        """Free the key if it is still held."""
        try:
            self._lock.release()
        except (LockError, RedisError):
            return


class Leases:
    """Leases of `seconds`; one thread renews all leases of this process, with one request.

    A release holds a lease for each of its tags: with a request for each lease, the last lease of many would end before
    its turn came.
    """

    def __init__(self, client: redis.Redis, seconds: float) -> None:
        self.client = client
        self._seconds = seconds
        self._renewal = client.register_script(RENEWAL)
        self._held: dict[Lease, None] = {}
        self._changed = threading.Condition()
        self._renewer: threading.Thread | None = None

    @contextmanager
    def hold(
        self,
        key: str,
        named: str,
        wait_seconds: float,
        *,
        poll_seconds: float = 0.05,
        pulse: Callable[[], None] = lambda: None,
        refusal: type[ImagePusherError] = LockUnavailable,
    ) -> Iterator[Lease]:
        """Wait for `key` and hold it; `pulse` is called with each renewal.

        Raises `refusal` after `wait_seconds`, StateUnavailable.
        """
        # thread_local off: the renewing thread must know the token.
        lock = Lock(
            self.client,
            key,
            timeout=self._seconds,
            sleep=poll_seconds,
            blocking=wait_seconds > 0,
            blocking_timeout=wait_seconds or None,
            thread_local=False,
        )
        token = uuid.uuid4().hex
        try:
            acquired = lock.acquire(token=token)
        except RedisError as error:
            raise StateUnavailable(f"{named} cannot be held: {type(error).__name__} from Redis.") from None
        if not acquired:
            raise refusal(f"{named} was held by another push for {wait_seconds:g} seconds.")
        lease = Lease(lock, key, token, named, pulse)
        self._renew_from_now_on(lease)
        try:
            yield lease
        finally:
            with self._changed:
                self._held.pop(lease, None)
            lease.release()

    def _renew_from_now_on(self, lease: Lease) -> None:
        with self._changed:
            self._held[lease] = None
            if self._renewer is None or not self._renewer.is_alive():
                self._renewer = threading.Thread(target=self._renew_all, name="lease-renewal", daemon=True)
                self._renewer.start()

    def _renew_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(self._seconds / _RENEWALS_A_LEASE)
                if not self._held:
                    self._renewer = None
                    return
                held = list(self._held)
            self._renew(held)

    def _renew(self, held: Sequence[Lease]) -> None:
        """Extend leases to their full time again; `Lease.ensure` reports a lost lease."""
        keys, tokens = [lease.key for lease in held], [lease.token for lease in held]
        with suppress(RedisError, StateUnavailable):
            renewed = cast("list[int]", self._renewal(keys=keys, args=[round(self._seconds * 1000), *tokens]))
            for lease in (lease for lease, is_renewed in zip(held, renewed, strict=True) if is_renewed):
                lease.pulse()


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
        with _named_failures(_RECORD):
            fields = cast("dict[bytes, bytes]", self._client.hgetall(self._record_key))
        return record_of({name.decode(): value.decode() for name, value in fields.items()})

    def kept(self, digest: str) -> Written | None:
        """Return the last write if it is of `digest` and its bytes are kept; raises StateUnavailable."""
        with _named_failures(_RECORD):
            found = cast("bytes | None", self._client.get(self._bytes_key))
        written = None if found is None else unpack(found)
        return written if written is not None and written.digest == digest else None

    def note_seen(self, held: Written | None, instead_of: str | None) -> None:
        """Record what someone else wrote, unless a push wrote since; raises StateUnavailable."""
        digest = "" if held is None else held.digest
        kept = b"" if held is None or not 0 < len(held.content) <= MOST_BYTES else pack(held)
        with _named_failures(_RECORD):
            self._seen(
                keys=[self._record_key, self._bytes_key],
                args=[instead_of or "", digest, RECORD_SECONDS, kept, BYTES_SECONDS],
            )

    def note_writing(self, digest: str, last: str | None, writer: Writer | None = None) -> None:
        """Record a write before it is made; raises StateUnavailable."""
        with _named_failures(_RECORD), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hset(self._record_key, under_way(digest, writer or self._writer), last or "")
            pipeline.expire(self._record_key, RECORD_SECONDS)
            pipeline.execute()

    def note_begun(self, digest: str, writer: Writer) -> None:
        """Record that a write begins; raises StateUnavailable."""
        with _named_failures(_RECORD), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hset(self._record_key, begun(digest, writer), "")
            pipeline.expire(self._record_key, RECORD_SECONDS)
            pipeline.execute()

    def note_written(self, written: Written, writer: Writer | None = None) -> None:
        """Record a verified write; raises StateUnavailable."""
        writer = writer or self._writer
        with _named_failures(_RECORD), self._client.pipeline(transaction=True) as pipeline:
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
        with _named_failures(_RECORD), self._client.pipeline(transaction=True) as pipeline:
            pipeline.hdel(self._record_key, LAST, WRITER)
            pipeline.delete(self._bytes_key)
            pipeline.execute()

    def drop_writing(self, digest: str, writer: Writer) -> None:
        """Record that a write was not begun; raises StateUnavailable."""
        with _named_failures(_RECORD):
            self._client.hdel(self._record_key, under_way(digest, writer))


class LeasedTagLocks:
    """Locks by which one push at a time works on a tag."""

    def __init__(self, leases: Leases, prefix: str, wait_seconds: float) -> None:
        self._leases = leases
        self._prefix = prefix
        self._wait_seconds = wait_seconds
        self._seen = leases.client.register_script(SEEN)

    @contextmanager
    def hold(self, reference: str) -> Iterator[LeasedTag]:
        """Wait for the tag and hold it; raises LockUnavailable, StateUnavailable."""
        with (
            _timed(telemetry.TAG_LOCK) as acquired,
            self._leases.hold(f"{self._prefix}tag:{reference}", f"The tag {reference}", self._wait_seconds) as lease,
        ):
            acquired()
            yield LeasedTag(lease, self._leases.client, self._seen, self._prefix, reference)


class LeasedSingleFlight:
    """A lock by which one task at a time moves the bytes of a blob to a registry."""

    def __init__(self, leases: Leases, prefix: str, wait_seconds: float) -> None:
        self._leases = leases
        self._prefix = prefix
        self._wait_seconds = wait_seconds

    @contextmanager
    def lead(self, registry: str, digest: str) -> Iterator[Callable[[], None]]:
        """Wait until no other task moves this blob there, and keep others waiting until the block lets them begin."""
        key = f"{self._prefix}flight:{registry}:{digest}"
        named = f"The blob {digest} at {registry}"
        with _timed(telemetry.FLIGHT) as acquired, ExitStack() as held:
            held.enter_context(self._leases.hold(key, named, self._wait_seconds, poll_seconds=0.02))
            acquired()
            yield held.close


class LeasedRuns:
    """Locks by which one delivery at a time works on a part of a push; `touch` is called with each renewal."""

    def __init__(self, leases: Leases, prefix: str, wait_seconds: float, touch: Callable[[str], None]) -> None:
        self._leases = leases
        self._prefix = prefix
        self._wait_seconds = wait_seconds
        self._touch = touch

    @contextmanager
    def hold(self, push_id: str, part: str) -> Iterator[None]:
        """Wait until no other delivery works on the part; raises PartBusy, StateUnavailable."""
        named = f"{part} of the push {push_id}"
        with self._hold(push_id, self._key(push_id, part), named):
            yield

    @contextmanager
    def alone(self, push_id: str) -> Iterator[None]:
        """Wait until no other part of any push runs alone; raises PartBusy, StateUnavailable."""
        named = "The place of what may end its worker"
        with self._hold(push_id, f"{self._prefix}alone", named):
            yield

    def is_held(self, push_id: str, part: str) -> bool:
        """Tell whether a live worker works on the part; raises StateUnavailable."""
        with _named_failures(f"Whether somebody works on {part} of the push {push_id}"):
            return bool(self._leases.client.exists(self._key(push_id, part)))

    def _hold(self, push_id: str, key: str, named: str) -> AbstractContextManager[Lease]:
        return self._leases.hold(key, named, self._wait_seconds, pulse=lambda: self._touch(push_id), refusal=PartBusy)

    def _key(self, push_id: str, part: str) -> str:
        return f"{self._prefix}run:{push_id}/{part}"


@contextmanager
def _timed(on: str) -> Iterator[Callable[[], None]]:
    """Measure the time until the yielded function is called, or until the block fails before."""
    started = time.monotonic()
    waiting = True

    def acquired() -> None:
        nonlocal waiting
        waiting = False
        telemetry.count(telemetry.WAIT_SECONDS, time.monotonic() - started, on=on)

    try:
        yield acquired
    finally:
        if waiting:
            acquired()


@contextmanager
def _named_failures(what: str) -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise StateUnavailable(f"{what} cannot be told: {type(error).__name__} from Redis.") from None
