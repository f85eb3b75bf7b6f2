"""The locks of a release, held all at once."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from tasks.transfer.ports import TagLock, TagLocks


class HeldLocks:
    """The locks that a release holds, for work on its tags; locks of other tags are waited for."""

    def __init__(self, held: Mapping[str, TagLock], others: TagLocks) -> None:
        self._held = held
        self._others = others

    @property
    def wait_seconds(self) -> float:
        """The seconds after which a wait for another tag ends."""
        return self._others.wait_seconds

    def hold(self, reference: str, most: float | None = None) -> AbstractContextManager[TagLock]:
        """Return the lock of a tag of the release, or hold another tag."""
        if reference in self._held:
            return nullcontext(self._held[reference])
        return self._others.hold(reference, most)
