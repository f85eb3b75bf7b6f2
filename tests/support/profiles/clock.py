"""Time that a test moves by itself."""

import threading


class VirtualClock:
    """Seconds since the start; they stand still until `advance` is called."""

    def __init__(self) -> None:
        self._now = 0.0
        self._guard = threading.Lock()

    def now(self) -> float:
        with self._guard:
            return self._now

    def advance(self, seconds: float) -> None:
        with self._guard:
            self._now += seconds
