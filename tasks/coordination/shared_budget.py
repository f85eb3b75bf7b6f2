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
# A registry that wants to be left alone for longer is asked once in so many seconds whether it still does.
PROBE_SECONDS: Final = 60.0


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
        self._probed = 0.0
        self._recovered = False
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
        self._mine.probing = False
        with self._changed:
            self._probed = self._clock()
            self._asked_until = max(self._asked_until, self._probed + (retry_after or _PAUSE))
            self._until = max(self._until, self._asked_until)

    def served(self) -> None:
        """Take in that a request was not limited: where it was let through to see that, all may ask again."""
        if not getattr(self._mine, "probing", False):
            return
        self._mine.probing = False
        with self._changed:
            self._until = self._asked_until = 0.0
            self._recovered = True
            self._changed.notify_all()

    def take_limit(self) -> float | None:
        """Return until when the registry wants to be left alone, if that is news for the other processes."""
        with self._changed:
            asked, self._asked_until = self._asked_until, 0.0
        return asked or None

    def take_recovery(self) -> bool:
        """Tell whether the registry turned out to serve again, if that is news for the other processes."""
        with self._changed:
            recovered, self._recovered = self._recovered, False
        return recovered

    def share_with(self, members: int, factor: float, until: float | None = None) -> None:
        """Take in what all processes know: how many they are, what part of the budget is left, when to rest until.

        None says nothing of that.
        """
        with self._changed:
            self._members = max(1, members)
            self.factor = factor
            if until is not None:
                if until > self._until:
                    self._probed = self._clock()
                self._until = max(until, self._asked_until)
            self._changed.notify_all()

    def _wait(self, patience: float) -> None:
        started = self._clock()
        with self._changed:
            while (pause := self._pause()) is not None:
                left = self._until - self._clock()
                if left > patience:
                    self._probe(left)
                    break
                self._changed.wait(pause)
            self._running += 1
            self._tokens -= 1
            self.used = self._clock()
        waited = self.used - started
        if waited > 0:
            telemetry.count(telemetry.WAIT_SECONDS, waited, on=telemetry.BUDGET)

    def _probe(self, left: float) -> None:
        """Let one request a minute through; raises RateLimited for all others."""
        now = self._clock()
        if now - self._probed < PROBE_SECONDS:
            raise RateLimited(f"{self._registry} asks for no requests for {left:.0f} seconds.", left)
        self._probed = now
        self._mine.probing = True

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
