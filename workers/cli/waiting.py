"""Messages about a waiting push: without them, the push would only seem slow."""

import time
from collections.abc import Callable
from typing import Final

from tasks import contract
from workers.printable import printable

_LONG_SECONDS: Final = 3.0
WAITS: Final = f"waits for a worker of {contract.PUSH_QUEUE} (imagepusher doctor tells more)"


class Waiting:
    """A watch on a push that waits for a worker or a registry; `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None
        self._told_of_worker = False
        self._reason = ""

    def news(self, progress: contract.Progress) -> str:
        """Return the reason why the push waits, once for each reason, else ""."""
        if progress.waiting is not None and progress.waiting.reason.message != self._reason:
            self._reason = progress.waiting.reason.message
            return told(progress.waiting)
        if self._told_of_worker or progress.state != "enqueued":
            return ""
        now = self._clock()
        # By the clock of this machine: the date of the push is from another clock.
        self._since = now if self._since is None else self._since
        self._told_of_worker = now - self._since > _LONG_SECONDS
        return WAITS if self._told_of_worker else ""


def told(waiting: contract.Waiting) -> str:
    """Return the end of a push's wait, in this machine's time, and the reason."""
    until = time.strftime("%H:%M:%S", time.localtime(waiting.until))
    return f"waits until {until}: [{waiting.reason.code}] {printable(waiting.reason.message)}"
