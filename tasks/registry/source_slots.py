"""The copies of a process by the source registry that they read from: how many may be slow at once (BEHAVIOUR 8.4).

A copy occupies one of the few places of its worker. A source that never answers, or a byte at a time, could have all of
them for hours. What counts is the time that a copy spends waiting for its source: not that of a slow destination.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from tasks.errors import SourceSlow

# A copy that waited so long for so few bytes is slow.
SLOW_SECONDS: Final = 10.0
SLOW_BYTES: Final = 64 * 1024


class Visit:
    """One copy's reads from its source, by any of its threads."""

    def __init__(self, visits: "Visits", registry: str) -> None:
        self.registry = registry
        self._visits = visits
        self._clock = visits.clock
        self._guard = threading.Lock()
        self._reading = 0
        self._since = 0.0
        self._waited = 0.0
        self._bytes = 0
        # Held while one is called: none is called any more when its block has ended.
        self._calling = threading.Lock()
        self._once_slow: list[Callable[[], None]] = []

    @contextmanager
    def once_slow(self, act: Callable[[], None]) -> Iterator[None]:
        """Call `act` once if the source becomes slow during the block."""
        with self._calling:
            self._once_slow.append(act)
        try:
            yield
        finally:
            with self._calling:
                if act in self._once_slow:
                    self._once_slow.remove(act)

    @contextmanager
    def read(self) -> Iterator[Callable[[int], None]]:
        """Yield a function to call with the number of bytes read; the block counts as a wait for the source."""
        with self._guard:
            self._reading += 1
            if self._reading == 1:
                self._since = self._clock()
        try:
            yield self._arrived
        finally:
            with self._guard:
                self._reading -= 1
                if not self._reading:
                    self._waited += self._clock() - self._since

    def check(self) -> None:
        """Raise SourceSlow if this copy is one too many of the slow ones."""
        if self._visits.is_too_many(self):
            raise _slow(self.registry)
        if self._once_slow and self.is_slow():
            with self._calling:
                while self._once_slow:
                    self._once_slow.pop()()

    def is_slow(self) -> bool:
        """Tell whether the source has sent next to nothing for some time."""
        with self._guard:
            waiting = self._clock() - self._since if self._reading else 0.0
            return self._waited + waiting >= SLOW_SECONDS

    def _arrived(self, count: int) -> None:
        with self._guard:
            self._bytes += count
            if self._bytes >= SLOW_BYTES:
                self._bytes = 0
                self._waited = 0.0
                self._since = self._clock()


class Visits:
    """The running copies of this process; of those from one registry at most `most_slow` may be slow (None: all)."""

    def __init__(self, most_slow: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._most_slow = most_slow
        self._guard = threading.Lock()
        self._open: list[Visit] = []

    @contextmanager
    def visit(self, registry: str) -> Iterator[None]:
        """Read from a registry in this block, and in the threads that share its context; raises SourceSlow."""
        if self._most_slow is None:
            yield
            return
        visit = Visit(self, registry)
        with self._guard:
            if len(self._slow(registry)) >= self._most_slow:
                raise _slow(registry)
            self._open.append(visit)
        token = _current.set(visit)
        try:
            yield
        finally:
            _current.reset(token)
            with self._guard:
                self._open.remove(visit)

    def is_too_many(self, visit: Visit) -> bool:
        """Tell whether enough slow copies from the same registry began before this one."""
        with self._guard:
            return visit in self._slow(visit.registry)[self._most_slow :]

    def _slow(self, registry: str) -> list[Visit]:
        return [visit for visit in self._open if visit.registry == registry and visit.is_slow()]


_current: Final[ContextVar[Visit | None]] = ContextVar("visit", default=None)


def current_visit() -> Visit | None:
    """Return the visit that the calling thread takes part in."""
    return _current.get()


def _slow(registry: str) -> SourceSlow:
    return SourceSlow(
        f"{registry} sends next to nothing, and holds as many places of this worker as one source may"
        " (`limits.registry_share`): the copy is tried again later."
    )
