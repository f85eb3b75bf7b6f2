"""A bound for work at once that the pushes of a process share fairly."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tasks import telemetry
from tasks.transfer.copy.width import Width

_GLANCE_SECONDS: Final = 1.0


class Turns:
    """Turns to work: one push alone has all turns of a width; several pushes each have an equal share of them."""

    def __init__(self, width: Width) -> None:
        self._width = width
        self._changed = threading.Condition()
        # Those that wait count, too: who holds all turns gets no further one before they had theirs.
        self._wanted: Counter[str] = Counter()
        self._held: Counter[str] = Counter()

    @contextmanager
    def take(self, glance: Callable[[], None] = lambda: None) -> Iterator[Callable[[float], None]]:
        """Wait for a turn of this thread's push, and hold it for the block; the yielded function notes what moved.

        Each second of the wait `glance` is called, and may end it with an error.
        """
        push = telemetry.bound().get("push_id", "")
        with self._wanting(push):
            with self._changed:
                while self._held[push] >= max(1, self._width.value // len(self._wanted)):
                    if not self._changed.wait(_GLANCE_SECONDS):
                        glance()
                self._held[push] += 1
            try:
                yield self._moved
            finally:
                with self._changed:
                    self._held[push] -= 1

    def _moved(self, amount: float) -> None:
        with self._changed:
            waits = self._wanted.total() > self._held.total()
        if self._width.moved(amount, waits=waits):
            with self._changed:
                self._changed.notify_all()

    @contextmanager
    def _wanting(self, push: str) -> Iterator[None]:
        with self._changed:
            self._wanted[push] += 1
        try:
            yield
        finally:
            with self._changed:
                self._wanted[push] -= 1
                if not self._wanted[push]:
                    del self._wanted[push], self._held[push]
                self._changed.notify_all()
