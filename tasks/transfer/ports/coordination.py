"""The ports by which workers keep out of each other's way. `tasks/coordination` implements them."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

import msgspec

from tasks import contract
from tasks.errors import ImagePusherError, RegistryError
from tasks.transfer.ports.records import TagRecord, Writer, Written

# Tells whether an error is worth another delivery of its task; a number, if given, limits the deliveries.
MayRetry = Callable[..., bool]
# Gets the name of what a push waits for without leaving its worker, with the reason and the most seconds; None ends it.
HeldUp = Callable[[str, ImagePusherError | None, float], None]


def bounded(may_retry: MayRetry, tries: int | None) -> MayRetry:
    """Return `may_retry` with the tries of a push, which count for failures of registries alone.

    Work that has begun is finished whatever the number: after a lost lock, or while tags are put back.
    """
    if tries is None:
        return may_retry
    return lambda error: may_retry(error, tries) if isinstance(error, RegistryError) else may_retry(error)


# The part that a preview, verify or undo task holds while it runs: it shows that its worker is alive.
INSPECTION: Final = "inspection"


class TagLock(Protocol):
    """A tag that is held."""

    def ensure(self) -> None:
        """Raise LockLost unless the tag is still held."""
        ...

    def record(self) -> TagRecord:
        """Return the writes of our pushes at the tag; raises StateUnavailable."""
        ...

    def kept(self, digest: str) -> Written | None:
        """Return the write of `digest` with its bytes, None if another write was last or the bytes are kept no longer.

        Raises StateUnavailable.
        """
        ...

    def note_seen(self, held: Written | None, instead_of: str | None) -> None:
        """Note what someone else wrote, None for an absent tag, unless the last write is not `instead_of` any more.

        A late write that replaces it is mended from the note. Raises StateUnavailable.
        """
        ...

    def note_writing(self, digest: str, last: str | None, writer: Writer | None = None) -> None:
        """Note that `digest` is about to be written; `last` was written before. Raises StateUnavailable."""
        ...

    def note_begun(self, digest: str, writer: Writer) -> None:
        """Note that a write which was announced begins now; raises StateUnavailable."""
        ...

    def note_landed(self, digest: str, writers: Iterable[Writer]) -> None:
        """Note that the digest of writes that others have begun is at the tag; raises StateUnavailable."""
        ...

    def drop_writing(self, digest: str, writer: Writer) -> None:
        """Note that a write which was announced was not begun; raises StateUnavailable."""
        ...

    def note_written(self, written: Written, writer: Writer | None = None, whose: Writer | None = None) -> None:
        """Note a verified write, with its bytes; `whose` is the writer of what it restores.

        If others wrote since it was announced, only its end is noted: its process may have stood still after it had
        looked at its lock. Raises StateUnavailable.
        """
        ...

    def note_deleted(self) -> None:
        """Note that the tag is gone, so that nobody restores its last manifest. Raises StateUnavailable."""
        ...


class TagLocks(Protocol):
    """Locks that let one push at a time work on a tag, across all workers."""

    @property
    def wait_seconds(self) -> float:
        """The seconds after which a wait for a tag ends."""
        ...

    def hold(self, reference: str, most: float | None = None) -> AbstractContextManager[TagLock]:
        """Wait for the tag, for at most `most` seconds and never longer than `wait_seconds`, and hold it.

        Raises LockUnavailable.
        """
        ...


class Runs(Protocol):
    """Locks that let one delivery at a time work on a part of a push; a holder's sign of life goes to the ledger."""

    def hold(self, push_id: str, part: str) -> AbstractContextManager[None]:
        """Wait until no other delivery works on the part; raises PartBusy, StateUnavailable."""
        ...

    def alone(self, push_id: str) -> AbstractContextManager[None]:
        """Wait until no other part is worked on alone; raises PartBusy, StateUnavailable."""
        ...

    def is_held(self, push_id: str, part: str) -> bool:
        """Tell whether a live worker works on the part; raises StateUnavailable."""
        ...


class Announcer(Protocol):
    """The announcer of moved tags: consumers hear of each at least once; `listens` is False without consumers."""

    listens: bool

    def tag_moved(self, moved: contract.TagMoved) -> None:
        """Announce one tag; any error makes the push be published again."""
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
    """Locks that let one task at a time move the bytes of a blob to a registry, across all workers."""

    def lead(self, registry: str, digest: str) -> AbstractContextManager[Callable[[], None]]:
        """Wait until no other task moves this blob there, and keep others waiting during the block.

        The yielded function lets the next one begin before the block ends.
        """
        ...


class BlobSharing(msgspec.Struct, frozen=True):
    """What workers share of blobs: the repositories that hold them, and the lead in moving one."""

    locations: BlobLocations
    flights: SingleFlight
