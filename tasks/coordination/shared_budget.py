"""One budget of requests as a process sees it: its share of what all processes may ask at once and per second."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tasks import telemetry
from tasks.errors import RateLimited

SYNC_SECONDS: Final = 0.5
# After a limit without a word on how long it lasts.
_PAUSE: Final = 1.0


class SharedBudget:
    """One budget as this process sees it; `factor` is the part of it that limits have left."""

    def __init__(
        self,
        registry: str,
        at_once: int,
        per_second: float | None,
        clock: Callable[[], float],
        on_use: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_use = on_use
        self.at_once = at_once
        self.used = 0.0
        self._registry = registry
        self._per_second = per_second
        self._clock = clock
        self._changed = threading.Condition()
        self._mine = threading.local()
        self._running = 0
        self._members = 1
        self.factor = 1.0
        self._until = 0.0
        self._asked_until = 0.0
        self._tokens = 0.0
        self._filled = clock()

    @contextmanager
    def request(self, patience: float) -> Iterator[None]:
        """Wait for room for one request and take it for the block; raises RateLimited."""
        # A request inside another of the same thread, as where an upload's body is read anew, must not wait for it.
        if getattr(self._mine, "asking", False):
            yield
            return
        self._wait(patience)
        self._on_use()
        self._mine.asking = True
        try:
            yield
        finally:
            self._mine.asking = False
            with self._changed:
                self._running -= 1
                self._changed.notify()

    def limited(self, retry_after: float | None) -> None:
        """Take in a limit: this process stops at once, the others at their next look."""
        with self._changed:
            self._asked_until = max(self._asked_until, self._clock() + (retry_after or _PAUSE))
            self._until = max(self._until, self._asked_until)

    def take_limit(self) -> float | None:
        """Return until when the registry wants to be left alone, if that is news for the other processes."""
        with self._changed:
            asked, self._asked_until = self._asked_until, 0.0
        return asked or None

    def share_with(self, members: int, factor: float, until: float) -> None:
        """Take in what all processes know: how many they are, what part of the budget is left, when to rest until."""
        with self._changed:
            self._members = max(1, members)
            self.factor = factor
            self._until = max(self._until, until)
            self._changed.notify_all()

    def _wait(self, patience: float) -> None:
        started = self._clock()
        with self._changed:
            while (pause := self._pause()) is not None:
                if self._until - self._clock() > patience:
                    left = self._until - self._clock()
                    raise RateLimited(f"{self._registry} wants to be left alone for {left:.0f} seconds.", left)
                self._changed.wait(pause)
            self._running += 1
            self._tokens -= 1
            self.used = self._clock()
        waited = self.used - started
        if waited > 0:
            telemetry.count(telemetry.WAIT_SECONDS, waited, on=telemetry.BUDGET)

    def _pause(self) -> float | None:
        """Return how long to wait before looking again, None if there is room now."""
        now = self._clock()
        if self._until > now:
            return min(self._until - now, SYNC_SECONDS)
        if self._running >= max(1, int(self.at_once * self.factor / self._members)):
            return SYNC_SECONDS
        if self._per_second is None:
            return None
        rate = self._per_second * self.factor / self._members
        self._tokens = min(max(1.0, rate), self._tokens + (now - self._filled) * rate)
        self._filled = now
        return None if self._tokens >= 1 else (1 - self._tokens) / rate
