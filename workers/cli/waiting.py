"""Say that no worker takes a push: without a word it would only seem slow."""

import time
from collections.abc import Callable
from typing import Final

from tasks import contract

_LONG_SECONDS: Final = 3.0
WAITS: Final = f"waits for a worker of {contract.PUSH_QUEUE} (imagepusher doctor tells more)"


class Waiting:
    """Watches a push that is enqueued; `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None
        self._told = False

    def news(self, progress: contract.Progress) -> str:
        """Return, once, what it waits for if it does so for long, else ""."""
        if self._told or progress.state != "enqueued":
            return ""
        now = self._clock()
        # By the clock of this machine: the push was dated by another one.
        self._since = now if self._since is None else self._since
        self._told = now - self._since > _LONG_SECONDS
        return WAITS if self._told else ""
