"""How much moves at once: more, as long as more moves by it."""

import threading
import time
from collections.abc import Callable
from typing import Final

_WINDOW_SECONDS: Final = 0.25
_WIDER: Final = 1.5
# The gain that a wider try must bring: less is within what a line varies.
_GAIN: Final = 1.1
# The windows until the next try after one in vain; each further one in vain doubles them.
_REST: Final = 8
_LONGEST_REST: Final = 256


class Width:
    """A number of transfers at once between `least` and `most`, found by trying. Thread-safe.

    It begins with `least`. Now and then half as many more are tried for a moment, and stay if the amount that moves
    has risen with them. A near registry is soon as fast as it gets; one that is far away takes as many as there are.
    """

    def __init__(self, least: int, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._guard = threading.Lock()
        self._value = least
        # What moved a second before the try that is under way; None without one.
        self._before: float | None = None
        self._kept = least
        self._rest = self._resting = 0
        self._begun = clock()
        self._amount = 0.0
        self._is_full = True

    @property
    def value(self) -> int:
        """The number for now."""
        return self._value

    def moved(self, amount: float, *, waits: bool) -> bool:
        """Note an amount that moved, and whether work waits for its turn; return whether the number has changed."""
        with self._guard:
            now, before = self._clock(), self._value
            self._amount += amount
            # Where nothing waits the amount says nothing about the width.
            self._is_full = self._is_full and waits
            seconds = now - self._begun
            if seconds < _WINDOW_SECONDS:
                return False
            if self._is_full:
                self._judge(self._amount / seconds)
            self._begun, self._amount, self._is_full = now, 0.0, True
            return self._value != before

    def _judge(self, rate: float) -> None:
        if self._before is not None and rate < self._before * _GAIN:
            self._value, self._before = self._kept, None
            self._rest = min(_LONGEST_REST, self._rest * 2 or _REST)
            self._resting = self._rest
            return
        if self._before is not None:
            self._rest = 0
        self._before = None
        if self._resting:
            self._resting -= 1
        elif self._value < self._most:
            self._kept, self._before = self._value, rate
            self._value = min(self._most, max(self._value + 1, round(self._value * _WIDER)))
