"""The locks of a push's tags, which say when the push waits for one (BEHAVIOUR 8.6)."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from tasks.errors import LockUnavailable
from tasks.transfer.ports import HeldUp, TagLock, TagLocks

# A shorter wait is part of the work: no other push holds a tag for long.
_UNTOLD_SECONDS: Final = 2.0


class AwaitedLocks:
    """The locks of tags for one push, which tells `held_up` of each wait that lasts."""

    def __init__(self, locks: TagLocks, held_up: HeldUp) -> None:
        self._locks = locks
        self._held_up = held_up

    @property
    def wait_seconds(self) -> float:
        """The seconds after which a wait for a tag ends."""
        return self._locks.wait_seconds

    @contextmanager
    def hold(self, reference: str, most: float | None = None) -> Iterator[TagLock]:
        """Wait for the tag, at most `most` seconds, and hold it; raises LockUnavailable."""
        with ExitStack() as held:
            if most is None and self.wait_seconds > _UNTOLD_SECONDS:
                lock = self._hold(held, reference)
            else:
                lock = held.enter_context(self._locks.hold(reference, most))
            yield lock

    def _hold(self, held: ExitStack, reference: str) -> TagLock:
        try:
            return held.enter_context(self._locks.hold(reference, _UNTOLD_SECONDS))
        except LockUnavailable:
            told = LockUnavailable(f"The tag {reference} is held by another push.")
        self._held_up(reference, told, self.wait_seconds)
        try:
            return held.enter_context(self._locks.hold(reference))
        finally:
            self._held_up(reference, None, 0.0)
