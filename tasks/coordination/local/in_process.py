"""Coordination within one process: the same interfaces as on Redis, for threads."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tasks.coordination.shared_budget import SharedBudget
from tasks.errors import ImagePusherError, LockUnavailable, PartBusy
from tasks.registry.budget import Budget

_RAISE = 1.1
_RAISED_AGAIN = 1.0


class KeyLocks:
    """Locks by key, which exist while a thread holds or waits for them."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def hold(self, key: str, wait_seconds: float, refusal: type[ImagePusherError] = LockUnavailable) -> Iterator[None]:
        """Wait for `key` and hold it; raises `refusal` after `wait_seconds`."""
        with self._guard:
            lock, users = self._locks.get(key, (threading.Lock(), 0))
            self._locks[key] = (lock, users + 1)
        try:
            if not lock.acquire(timeout=wait_seconds):
                raise refusal(f"{key} was held by another task for {wait_seconds:g} seconds.")
            try:
                yield
            finally:
                lock.release()
        finally:
            with self._guard:
                lock, users = self._locks[key]
                if users == 1:
                    del self._locks[key]
                else:
                    self._locks[key] = (lock, users - 1)

    def is_held(self, key: str) -> bool:
        """Tell whether a thread holds `key` or waits for it."""
        with self._guard:
            return key in self._locks


class LocalSingleFlight:
    """A lock by which one task at a time moves the bytes of a blob to a registry."""

    def __init__(self, locks: KeyLocks, wait_seconds: float) -> None:
        self._locks = locks
        self._wait_seconds = wait_seconds

    @contextmanager
    def lead(self, registry: str, digest: str) -> Iterator[Callable[[], None]]:
        """Wait until no other task moves this blob there, and keep others waiting until the block lets them begin."""
        with ExitStack() as held:
            held.enter_context(self._locks.hold(f"blob {registry} {digest}", self._wait_seconds))
            yield held.close


class LocalRuns:
    """A lock by which one delivery at a time works on a part of a push."""

    def __init__(self, locks: KeyLocks, wait_seconds: float) -> None:
        self._locks = locks
        self._wait_seconds = wait_seconds

    @contextmanager
    def hold(self, push_id: str, part: str) -> Iterator[None]:
        """Wait until no other delivery works on the part; raises PartBusy."""
        with self._locks.hold(_part(push_id, part), self._wait_seconds, PartBusy):
            yield

    @contextmanager
    def alone(self, push_id: str) -> Iterator[None]:
        """Wait until no other part runs alone; raises PartBusy."""
        del push_id
        with self._locks.hold("the place of what may end its worker", self._wait_seconds, PartBusy):
            yield

    def is_held(self, push_id: str, part: str) -> bool:
        """Tell whether a delivery works on the part."""
        return self._locks.is_held(_part(push_id, part))


class LocalBlobLocations:
    """The repositories of a registry that hold a blob."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._repositories: dict[tuple[str, str], dict[str, None]] = {}

    def repositories(self, registry: str, digest: str) -> Sequence[str]:
        """Return the repositories that held the blob."""
        with self._guard:
            return list(self._repositories.get((registry, digest), ()))

    def add(self, registry: str, digest: str, repository: str) -> None:
        """Note that a repository holds the blob."""
        with self._guard:
            self._repositories.setdefault((registry, digest), {})[repository] = None

    def forget(self, registry: str, digest: str, repository: str) -> None:
        """Note that a repository does not hold the blob."""
        with self._guard:
            self._repositories.get((registry, digest), {}).pop(repository, None)


class LocalBudgets:
    """The budgets of this process: a limit halves a budget, which then grows back slowly."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._budgets: dict[tuple[str, str], SharedBudget] = {}
        self._factors: dict[tuple[str, str], tuple[float, float]] = {}

    def of(self, registry: str, who: str, at_once: int, per_second: float | None) -> Budget:
        """Return the budget of the user `who` at a registry."""
        key = (registry, who)
        with self._guard:
            if key not in self._budgets:
                self._budgets[key] = SharedBudget(registry, at_once, per_second, self._clock, lambda: self._adapt(key))
            return self._budgets[key]

    def _adapt(self, key: tuple[str, str]) -> None:
        budget, now = self._budgets[key], self._clock()
        with self._guard:
            factor, changed = self._factors.get(key, (1.0, 0.0))
            if budget.take_limit() is not None:
                factor = max(1 / budget.at_once, factor / 2)
            elif factor < 1 and now - changed > _RAISED_AGAIN:
                factor = min(1.0, factor * _RAISE)
            else:
                return
            self._factors[key] = (factor, now)
        budget.share_with(1, factor)


def _part(push_id: str, part: str) -> str:
    return f"{part} of the push {push_id}"
