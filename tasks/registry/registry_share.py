"""The copies of a process by the registries that they wait for: how many may be slow at once (BEHAVIOUR 8.4).

A copy occupies one of the few places of its worker. A registry that never answers, or a byte at a time, could have all
of them for hours, as a source or as a destination. What counts is the time that a copy spends waiting for that
registry.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from tasks.errors import DestinationSlow, SourceSlow
from tasks.registry.settings import Role

# A copy that waited so long for so few bytes is slow. The answers of a destination are short.
SLOW_SECONDS: Final = 10.0
SLOW_BYTES: Final[Mapping[Role, int]] = {"source": 64 * 1024, "destination": 256}
_SLOW: Final[Mapping[Role, type[SourceSlow | DestinationSlow]]] = {"source": SourceSlow, "destination": DestinationSlow}


class Visit:
    """One copy's waits for one registry in one role, by any of its threads."""

    def __init__(self, visits: "Visits", role: Role, registry: str) -> None:
        self.role = role
        self.registry = registry
        self._visits = visits
        self._clock = visits.clock
        self._guard = threading.Lock()
        self._waiting = 0
        self._since = 0.0
        self._waited = 0.0
        self._bytes = 0
        # Held while one is called: none is called any more when its block has ended.
        self._calling = threading.Lock()
        self._once_slow: list[Callable[[], None]] = []

    @contextmanager
    def once_slow(self, act: Callable[[], None]) -> Iterator[None]:
        """Call `act` once if the registry becomes slow during the block."""
        with self._calling:
            self._once_slow.append(act)
        try:
            yield
        finally:
            with self._calling:
                if act in self._once_slow:
                    self._once_slow.remove(act)

    @contextmanager
    def wait(self) -> Iterator[Callable[[int], None]]:
        """Yield a function to call with the number of bytes that moved; the block counts as a wait for the registry."""
        with self._guard:
            self._waiting += 1
            if self._waiting == 1:
                self._since = self._clock()
        try:
            yield self._moved
        finally:
            with self._guard:
                self._waiting -= 1
                if not self._waiting:
                    self._waited += self._clock() - self._since

    def check(self) -> None:
        """Raise SourceSlow or DestinationSlow if this copy is one too many of the slow ones."""
        if self._visits.is_too_many(self):
            raise _slow(self.role, self.registry)
        if self._once_slow and self.is_slow():
            with self._calling:
                while self._once_slow:
                    self._once_slow.pop()()

    def ensure_room(self) -> None:
        """Raise SourceSlow or DestinationSlow if the slow copies leave no place to one that waits for its turn."""
        if self._visits.is_full(self):
            raise _slow(self.role, self.registry)

    def is_slow(self) -> bool:
        """Tell whether the registry has sent, or taken, next to nothing for some time."""
        with self._guard:
            waiting = self._clock() - self._since if self._waiting else 0.0
            return self._waited + waiting >= SLOW_SECONDS

    def _moved(self, count: int) -> None:
        with self._guard:
            self._bytes += count
            if self._bytes >= SLOW_BYTES[self.role]:
                self._bytes = 0
                self._waited = 0.0
                self._since = self._clock()


class Visits:
    """The running copies of this process; of those at one registry at most `most_slow` may be slow (None: all)."""

    def __init__(self, most_slow: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._most_slow = most_slow
        self._guard = threading.Lock()
        self._open: list[Visit] = []

    @contextmanager
    def visit(self, source: str, destinations: Iterable[str] = ()) -> Iterator[None]:
        """Copy from one registry to others in this block, and in the threads that share its context.

        Raises SourceSlow, DestinationSlow.
        """
        if self._most_slow is None:
            yield
            return
        places: list[tuple[Role, str]] = [("source", source)]
        places += [("destination", registry) for registry in dict.fromkeys(destinations)]
        visits = {place: Visit(self, *place) for place in places}
        with self._guard:
            for place in places:
                if len(self._slow(*place)) >= self._most_slow:
                    raise _slow(*place)
            self._open += visits.values()
        token = _current.set(visits)
        try:
            yield
        finally:
            _current.reset(token)
            with self._guard:
                for visit in visits.values():
                    self._open.remove(visit)

    def is_too_many(self, visit: Visit) -> bool:
        """Tell whether enough slow copies at the same registry began before this one."""
        with self._guard:
            return visit in self._slow(visit.role, visit.registry)[self._most_slow :]

    def is_full(self, visit: Visit) -> bool:
        """Tell whether others have all places that slow copies at the same registry may have."""
        with self._guard:
            others = [each for each in self._slow(visit.role, visit.registry) if each is not visit]
            return self._most_slow is not None and len(others) >= self._most_slow

    def _slow(self, role: Role, registry: str) -> list[Visit]:
        return [each for each in self._open if (each.role, each.registry) == (role, registry) and each.is_slow()]


_current: Final[ContextVar[Mapping[tuple[Role, str], Visit] | None]] = ContextVar("visits", default=None)


def current_visit(role: Role, registry: str) -> Visit | None:
    """Return the visit at a registry that the calling thread takes part in."""
    visits = _current.get()
    return None if visits is None else visits.get((role, registry))


def _slow(role: Role, registry: str) -> SourceSlow | DestinationSlow:
    does = "sends" if role == "source" else "takes and answers"
    return _SLOW[role](
        f"{registry} {does} next to nothing, and holds as many places of this worker as one {role} may"
        " (`limits.registry_share`): the copy is tried again later."
    )
