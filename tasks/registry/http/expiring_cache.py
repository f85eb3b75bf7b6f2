"""A thread-safe cache of expiring entries, each fetched by one thread only."""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from typing import Final, Generic, TypeVar

import msgspec

from tasks.errors import RegistryError
from tasks.registry.http.retry import Transient

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_MANY: Final = 1024


class Expiring(msgspec.Struct, Generic[Value], frozen=True):
    """A value and its lifetime in seconds from the start of its fetch."""

    value: Value
    seconds: float


class ExpiringCache(Generic[Key, Value]):
    """Values by key until they expire; `clock` is a monotonic clock in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._entries: dict[Key, tuple[Value, float]] = {}
        self._fetching: dict[Key, Future[Value]] = {}

    def value(self, key: Key, fetch: Callable[[], Expiring[Value]]) -> Value:
        """Return the value of `key`, fetched if it is missing or has expired.

        Threads that ask for the same key meanwhile wait and get the same value, or the same failure of the other side:
        otherwise each would wait anew for a server that does not answer. Any other error is the fetching thread's own
        (a cancellation, say): one of the waiting threads then fetches.
        """
        while True:
            with self._guard:
                value, ends = self._entries.get(key, (None, float("-inf")))
                if value is not None and self._clock() < ends:
                    return value
                under_way = self._fetching.get(key)
                if under_way is None:
                    own = self._fetching[key] = Future[Value]()
                    break
            wait([under_way])
            error = under_way.exception()
            if error is None:
                return under_way.result()
            if isinstance(error, RegistryError | Transient):
                raise type(error)(*error.args) from error
        return self._fetch(key, fetch, own)

    def forget(self, value: Value) -> None:
        """Drop all entries with this value."""
        with self._guard:
            self._entries = {key: entry for key, entry in self._entries.items() if entry[0] != value}

    def _fetch(self, key: Key, fetch: Callable[[], Expiring[Value]], future: Future[Value]) -> Value:
        started = self._clock()
        try:
            fetched = fetch()
        except BaseException as error:
            with self._guard:
                del self._fetching[key]
            future.set_exception(error)
            raise
        with self._guard:
            del self._fetching[key]
            if len(self._entries) >= _MANY:
                self._drop_ended()
            self._entries[key] = (fetched.value, started + fetched.seconds)
        future.set_result(fetched.value)
        return fetched.value

    def _drop_ended(self) -> None:
        now = self._clock()
        self._entries = {key: entry for key, entry in self._entries.items() if now < entry[1]}
