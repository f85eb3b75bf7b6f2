"""A bound for work at once that the pushes of a process share fairly."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tasks import telemetry


class Turns:
    """Turns to work: one push alone has `most` turns; several pushes each have an equal share of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._changed = threading.Condition()
        # Those that wait count, too: who holds all turns gets no further one before they had theirs.
        self._wanted: Counter[str] = Counter()
        self._held: Counter[str] = Counter()

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for a turn of this thread's push, and hold it for the block."""
        push = telemetry.bound().get("push_id", "")
        with self._changed:
            self._wanted[push] += 1
            while self._held[push] >= max(1, self._most // len(self._wanted)):
                self._changed.wait()
            self._held[push] += 1
        try:
            yield
        finally:
            with self._changed:
                self._held[push] -= 1
                self._wanted[push] -= 1
                if not self._wanted[push]:
                    del self._wanted[push], self._held[push]
                self._changed.notify_all()
