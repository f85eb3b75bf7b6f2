"""One process's share of a budget of requests at once and per second for all processes."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tasks import telemetry
from tasks.errors import RateLimited

SYNC_SECONDS: Final = 0.5
# The pause after a limit without a Retry-After.
_PAUSE: Final = 1.0
# If a registry asks for a longer pause, one request in so many seconds checks whether the limit lasts.
PROBE_SECONDS: Final = 60.0
_SHARE_OF_PUSH: Final = 0.75


class SharedBudget:
    """This process's share of one budget; `factor` is the fraction that limits have left."""

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
        self._held: Counter[str] = Counter()
        self._members = 1
        self.factor = 1.0
        self._until = 0.0
        self._asked_until = 0.0
        self._probed = 0.0
        self._recovered = False
        self._said = ""
        self._tokens = 0.0
        self._filled = clock()

    @contextmanager
    def request(self, patience: float) -> Iterator[None]:
        """Wait for room for one request and take it for the block; raises RateLimited."""
        # A request inside another one of the same thread (an upload whose body is read anew) must not wait for it.
        if getattr(self._mine, "asking", False):
            yield
            return
        push = telemetry.bound().get("push_id", "")
        self._wait(patience, push)
        self._mine.asking = True
        try:
            self._on_use()
            yield
        finally:
            self._mine.asking = False
            with self._changed:
                self._running -= 1
                self._held[push] -= 1
                if not self._held[push]:
                    del self._held[push]
                # Not every thread that waits may go on: it may belong to a push that has enough.
                self._changed.notify_all()

    def limited(self, retry_after: float | None, said: str = "") -> None:
        """Note a limit: this process stops at once, the others at their next synchronisation."""
        self._mine.probing = False
        with self._changed:
            self._said = said
            self._probed = self._clock()
            self._asked_until = max(self._asked_until, self._probed + (retry_after or _PAUSE))
            self._until = max(self._until, self._asked_until)

    def served(self) -> None:
        """Note a request without a limit: if it was the check during a pause, all may send again."""
        if not getattr(self._mine, "probing", False):
            return
        self._mine.probing = False
        with self._changed:
            self._until = self._asked_until = 0.0
            self._said = ""
            self._recovered = True
            self._changed.notify_all()

    def take_limit(self) -> float | None:
        """Return the end of the registry's pause if the other processes do not know it yet."""
        with self._changed:
            asked, self._asked_until = self._asked_until, 0.0
        return asked or None

    def take_recovery(self) -> bool:
        """Tell whether the registry serves again and the other processes do not know it yet."""
        with self._changed:
            recovered, self._recovered = self._recovered, False
        return recovered

    def share_with(self, members: int, factor: float, until: float | None = None) -> None:
        """Apply the shared state: the number of processes, the fraction of the budget left, and the end of a pause.

        None for `until` leaves the pause as it is.
        """
        with self._changed:
            self._members = max(1, members)
            self.factor = factor
            if until is not None:
                if until > self._until:
                    self._probed = self._clock()
                self._until = max(until, self._asked_until)
            self._changed.notify_all()

    def _wait(self, patience: float, push: str) -> None:
        started = self._clock()
        with self._changed:
            while (pause := self._pause(push)) is not None:
                left = self._until - self._clock()
                if left > patience:
                    self._probe(left)
                    break
                self._changed.wait(pause)
            self._running += 1
            self._held[push] += 1
            self._tokens -= 1
            self.used = self._clock()
        waited = self.used - started
        if waited > 0:
            telemetry.count(telemetry.WAIT_SECONDS, waited, on=telemetry.BUDGET)

    def _probe(self, left: float) -> None:
        """Let one request a minute through; raises RateLimited for all others."""
        now = self._clock()
        if now - self._probed < PROBE_SECONDS:
            # Another process heard the words of a limit that this one only shares.
            said = f": {self._said}" if self._said else ""
            raise RateLimited(f"{self._registry} asks for no requests for {left:.0f} seconds{said}.", left)
        self._probed = now
        self._mine.probing = True

    def _pause(self, push: str) -> float | None:
        """Return the seconds to wait before the next check, None if there is room now.

        An upload holds its room for as long as its source takes: one push never has all of it.
        """
        now = self._clock()
        if self._until > now:
            return min(self._until - now, SYNC_SECONDS)
        room = max(1, int(self.at_once * self.factor / self._members))
        if self._running >= room or (push and self._held[push] >= max(1, int(room * _SHARE_OF_PUSH))):
            return SYNC_SECONDS
        if self._per_second is None:
            return None
        rate = self._per_second * self.factor / self._members
        self._tokens = min(max(1.0, rate), self._tokens + (now - self._filled) * rate)
        self._filled = now
        return None if self._tokens >= 1 else (1 - self._tokens) / rate
