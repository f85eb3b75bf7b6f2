"""Leases on Redis keys, renewed while they are held: the base of all locks in Redis.

After the death of a holder the others wait until its lease ends. A lease is no fence: its holder calls `ensure` right
before a write, and verifies the write afterwards.
"""

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, cast

import redis
from redis.exceptions import LockError, RedisError
from redis.lock import Lock

from tasks.errors import ImagePusherError, LockLost, LockUnavailable, StateUnavailable

_RENEWALS_A_LEASE: Final = 3
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
