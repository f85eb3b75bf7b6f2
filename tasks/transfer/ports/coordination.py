"""The ports by which workers keep out of each other's way. `tasks/coordination` implements them."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

from tasks import contract
from tasks.transfer.ports.records import TagRecord, Written

# Tells whether an error is worth another delivery of its task, of at most so many where a number is given.
MayRetry = Callable[..., bool]
# The part that a preview, verify or undo task holds while it runs: it shows that its worker is alive.
INSPECTION: Final = "inspection"


class TagLock(Protocol):
    """A tag that is held."""

    def ensure(self) -> None:
        """Raise LockLost unless the tag is still held."""
        ...

    def record(self) -> TagRecord:
        """Return the writes of pushes of ours at the tag; raises StateUnavailable."""
        ...

    def kept(self, digest: str) -> Written | None:
        """Return the last write with its bytes, None where another was the last or the bytes are kept no longer.

        Raises StateUnavailable.
        """
        ...

    def note_writing(self, digest: str, last: str | None) -> None:
        """Note that `digest` is about to be written, where `last` was written last; raises StateUnavailable."""
        ...

    def note_written(self, written: Written) -> None:
        """Note a write that was verified, with its bytes; raises StateUnavailable."""
        ...


class TagLocks(Protocol):
    """One push at a time works on a tag, across all workers."""

    def hold(self, reference: str) -> AbstractContextManager[TagLock]:
        """Wait for the tag and hold it; raises LockUnavailable."""
        ...


class Runs(Protocol):
    """One delivery at a time works on a part of a push, across all workers; the ledger hears that it is alive."""

    def hold(self, push_id: str, part: str) -> AbstractContextManager[None]:
        """Wait until no other delivery works on the part; raises LockUnavailable."""
        ...

    def alone(self, push_id: str) -> AbstractContextManager[None]:
        """Wait until no other part is worked on alone; raises LockUnavailable, StateUnavailable."""
        ...

    def is_held(self, push_id: str, part: str) -> bool:
        """Tell whether some worker is alive and works on the part; raises StateUnavailable."""
        ...


class Announcer(Protocol):
    """Tells consumers of each tag that moved, at least once; `listens` is False where there are none."""

    listens: bool

    def tag_moved(self, moved: contract.TagMoved) -> None:
        """Tell of one tag; whatever it raises, the push is published again."""
        ...


class BlobLocations(Protocol):
    """The repositories of a registry that hold a blob: hints for mounts, possibly stale."""

    def repositories(self, registry: str, digest: str) -> Sequence[str]:
        """Return some repositories that held the blob."""
        ...

    def add(self, registry: str, digest: str, repository: str) -> None:
        """Note that a repository holds the blob."""
        ...

    def forget(self, registry: str, digest: str, repository: str) -> None:
        """Note that a repository does not hold the blob."""
        ...


class SingleFlight(Protocol):
    """One task at a time moves the bytes of a blob to a registry, across all workers."""

    def lead(self, registry: str, digest: str) -> AbstractContextManager[None]:
        """Wait until nobody else moves this blob there, and keep others waiting while it is moved."""
        ...
