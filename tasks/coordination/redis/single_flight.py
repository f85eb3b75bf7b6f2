"""One upload at a time of one blob to one registry, among all workers (BEHAVIOUR 5.4)."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from tasks import telemetry
from tasks.coordination.redis.leases import Leases
from tasks.coordination.redis.lock_wait import timed


class LeasedSingleFlight:
    """A lock by which one task at a time moves the bytes of a blob to a registry."""

    def __init__(self, leases: Leases, prefix: str, wait_seconds: float) -> None:
        self._leases = leases
        self._prefix = prefix
        self._wait_seconds = wait_seconds

    @contextmanager
    def lead(self, registry: str, digest: str) -> Iterator[Callable[[], None]]:
        """Wait until no other task moves this blob there, and keep others waiting until the block lets them begin."""
        key = f"{self._prefix}flight:{registry}:{digest}"
        named = f"The blob {digest} at {registry}"
        with timed(telemetry.FLIGHT) as acquired, ExitStack() as held:
            held.enter_context(self._leases.hold(key, named, self._wait_seconds, poll_seconds=0.02))
            acquired()
            yield held.close
