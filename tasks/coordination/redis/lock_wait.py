"""The time for which a lock is waited for."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks import telemetry


@contextmanager
def timed(on: str) -> Iterator[Callable[[], None]]:
    """Measure the time until the yielded function is called, or until the block fails before."""
    started = time.monotonic()
    waiting = True

    def acquired() -> None:
        nonlocal waiting
        waiting = False
        telemetry.count(telemetry.WAIT_SECONDS, time.monotonic() - started, on=on)

    try:
        yield acquired
    finally:
        if waiting:
            acquired()
