"""One delivery at a time of one part of a push, among all workers (BEHAVIOUR 7.3)."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tasks.coordination.redis.failures import named_failures
from tasks.coordination.redis.leases import Lease, Leases
from tasks.errors import PartBusy


class LeasedRuns:
    """Locks by which one delivery at a time works on a part of a push; `touch` is called with each renewal."""

    def __init__(self, leases: Leases, prefix: str, wait_seconds: float, touch: Callable[[str], None]) -> None:
        self._leases = leases
        self._prefix = prefix
        self._wait_seconds = wait_seconds
        self._touch = touch

    @contextmanager
    def hold(self, push_id: str, part: str) -> Iterator[None]:
        """Wait until no other delivery works on the part; raises PartBusy, StateUnavailable."""
        named = f"{part} of the push {push_id}"
        with self._hold(push_id, self._key(push_id, part), named):
            yield

    @contextmanager
    def alone(self, push_id: str) -> Iterator[None]:
        """Wait until no other part of any push runs alone; raises PartBusy, StateUnavailable."""
        named = "The place of what may end its worker"
        with self._hold(push_id, f"{self._prefix}alone", named):
            yield

    def is_held(self, push_id: str, part: str) -> bool:
        """Tell whether a live worker works on the part; raises StateUnavailable."""
        with named_failures(f"Whether somebody works on {part} of the push {push_id}"):
            return bool(self._leases.client.exists(self._key(push_id, part)))

    def _hold(self, push_id: str, key: str, named: str) -> AbstractContextManager[Lease]:
        return self._leases.hold(key, named, self._wait_seconds, pulse=lambda: self._touch(push_id), refusal=PartBusy)

    def _key(self, push_id: str, part: str) -> str:
        return f"{self._prefix}run:{push_id}/{part}"
