"""Leases on Redis keys, renewed while they are held: the tag lock and the single flight stand on them.

A holder that dies frees the others when its lease ends. A lease is no fence: its holder asks `ensure` right before a
write, and looks afterwards at what was written.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import redis
from redis.exceptions import LockError, RedisError
from redis.lock import Lock

from tasks.errors import LockLost, LockUnavailable

_RENEWALS_A_LEASE: Final = 3


class Lease:
    """A key that is held."""

    def __init__(self, lock: Lock, named: str) -> None:
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

    def renew(self) -> None:
        """Make the lease last its full time again; that a lease is lost is seen by `ensure`."""
        try:
            self._lock.reacquire()
        except (LockError, RedisError):
            return

    def release(self) -> None:
        """Free the key, if it is still held."""
        try:
            self._lock.release()
        except (LockError, RedisError):
            return


class Leases:
    """Leases of `seconds`, renewed by one thread for all that this process holds."""

    def __init__(self, client: redis.Redis, seconds: float) -> None:
        self._client = client
        self._seconds = seconds
        self._held: set[Lease] = set()
        self._changed = threading.Condition()
        self._renewer: threading.Thread | None = None

    @contextmanager
    def hold(self, key: str, named: str, wait_seconds: float, poll_seconds: float = 0.05) -> Iterator[Lease]:
        """Wait for `key` and hold it; raises LockUnavailable when `wait_seconds` have passed."""
        # thread_local off: the renewing thread must know the token.
        lock = Lock(
            self._client,
            key,
            timeout=self._seconds,
            sleep=poll_seconds,
            blocking_timeout=wait_seconds,
            thread_local=False,
        )
        try:
            acquired = lock.acquire()
        except RedisError as error:
            raise LockUnavailable(f"{named} cannot be held: {type(error).__name__} from Redis.") from None
        if not acquired:
            raise LockUnavailable(f"{named} was held by another push for {wait_seconds:g} seconds.")
        lease = Lease(lock, named)
        self._renew_from_now_on(lease)
        try:
            yield lease
        finally:
            with self._changed:
                self._held.discard(lease)
            lease.release()

    def _renew_from_now_on(self, lease: Lease) -> None:
        with self._changed:
            self._held.add(lease)
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
            for lease in held:
                lease.renew()


class LeasedTagLocks:
    """One push at a time works on a tag."""

    def __init__(self, leases: Leases, prefix: str, wait_seconds: float) -> None:
        self._leases = leases
        self._prefix = prefix
        self._wait_seconds = wait_seconds

    @contextmanager
    def hold(self, reference: str) -> Iterator[Lease]:
        """Wait for the tag and hold it; raises LockUnavailable."""
        with self._leases.hold(f"{self._prefix}tag:{reference}", f"The tag {reference}", self._wait_seconds) as lease:
            yield lease


class LeasedSingleFlight:
    """One task at a time moves the bytes of a blob to a registry."""

    def __init__(self, leases: Leases, prefix: str, wait_seconds: float) -> None:
        self._leases = leases
        self._prefix = prefix
        self._wait_seconds = wait_seconds

    @contextmanager
    def lead(self, registry: str, digest: str) -> Iterator[None]:
        """Wait until nobody else moves this blob there, and keep others waiting while it is moved."""
        key = f"{self._prefix}flight:{registry}:{digest}"
        with self._leases.hold(key, f"The blob {digest} at {registry}", self._wait_seconds, poll_seconds=0.02):
            yield
