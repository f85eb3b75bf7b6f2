"""Bring one blob into the repositories of a registry: its bytes once, mounts for the rest (BEHAVIOUR 5.1, 5.4)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Final, Literal

import msgspec

from tasks import telemetry
from tasks.errors import NotFound, RateLimited, RegistryError, RegistryUnavailable, Side, SourceChildMissing
from tasks.oci.descriptor import Descriptor
from tasks.registry.blob.session import UploadSession
from tasks.registry.registry_share import Visit, current_visit
from tasks.registry.repository import Repository
from tasks.transfer.copy.fair_bound import Turns
from tasks.transfer.copy.placements import Placements
from tasks.transfer.copy.possession import shows
from tasks.transfer.copy.totals import Counter
from tasks.transfer.ports import BlobSharing

Progress = Callable[[int], None]
# How a blob came to be where it is wanted.
Placed = Literal["skipped", "mounted", "copied"]

# Smaller blobs cost requests, not bandwidth: every thread may move one.
_BIG_BYTES: Final = 1 << 20


class Wanted(msgspec.Struct, frozen=True):
    """A blob whose bytes must be uploaded; a mount opened `session`, mounts from the repositories in `tried` failed."""

    session: UploadSession | None = None
    tried: Sequence[str] = ()


class BlobPlacer:
    """The mover of blobs from one source repository into others; `big` bounds the big blobs under way at once."""

    def __init__(
        self,
        source: Repository,
        shared: BlobSharing,
        placements: Placements,
        big: Turns,
        counter: Counter,
    ) -> None:
        self._source = source
        self._shared = shared
        self._placements = placements
        self._big = big
        self._counter = counter

    def place(self, blob: Descriptor, destination: Repository, progress: Progress) -> None:
        """Make `destination` hold `blob`; `progress` is called with the number of bytes that are done.

        If a repository is known to hold the blob, a mount is tried first. If the registry answers with an upload
        session, the bytes go into that session. If the mount fails, the bytes go into a plain upload. Raises
        RegistryError, SourceError.
        """
        with telemetry.span("blob", digest=blob.digest, bytes=blob.size, repository=str(destination)) as span:
            found = self._find(blob, destination)
            if isinstance(found, Wanted):
                with (
                    self._shared.flights.lead(destination.registry, blob.digest) as let_go,
                    self._leading(let_go, destination),
                ):
                    found = self._find_arrived(blob, destination, found)
                    if isinstance(found, Wanted):
                        try:
                            with (
                                self._turn(blob, destination) as moved,
                                self._source.open_blob(blob) as reader,
                            ):
                                told = _telling(progress, moved)
                                destination.blob_upload(blob, reader, told, found.session).run()
                        except RegistryError as error:
                            self._explain(error, blob, destination)
                            raise
                        found = self._arrive(blob, destination)
            span.set("outcome", found)
        telemetry.count(telemetry.BLOBS, outcome=found)
        telemetry.count(telemetry.BYTES, blob.size, outcome=found)
        progress(blob.size)

    def note_holder(self, blob: Descriptor, holder: Repository) -> None:
        """Note that a repository holds a blob: others of its registry may mount it from there."""
        self._shared.locations.add(holder.registry, blob.digest, holder.name)

    def _find(self, blob: Descriptor, destination: Repository) -> Placed | Wanted:
        """Find the blob at the destination, or bring it there by a mount."""
        if self._placements.has(blob, destination):
            self._counter.add(blobs_skipped=1)
            return "skipped"
        known = self._known(blob, destination)
        if not known and self._placements.finds_by_mount(destination.registry):
            return self._find_by_mount(blob, destination)
        if not known or destination.name in known:
            size = destination.blob_size(blob.digest)
            if self._is_present(size, blob, destination):
                return "skipped"
        return self._mount(blob, destination, [name for name in known if name != destination.name])

    def _find_arrived(self, blob: Descriptor, destination: Repository, wanted: Wanted) -> Placed | Wanted:
        """Find the blob in what other workers brought to the registry meanwhile."""
        arrived = [name for name in self._known(blob, destination) if name not in wanted.tried]
        is_there = destination.name in arrived
        if is_there and self._is_present(destination.blob_size(blob.digest), blob, destination):
            found: Placed | Wanted = "skipped"
        else:
            found = self._mount(blob, destination, [name for name in arrived if name != destination.name])
        if isinstance(found, Wanted) and found.session is None:
            return wanted
        if wanted.session is not None:
            # No bytes will go into it.
            destination.cancel_upload(wanted.session)
        return found

    def _known(self, blob: Descriptor, destination: Repository) -> list[str]:
        known = list(self._shared.locations.repositories(destination.registry, blob.digest))
        if self._source.registry == destination.registry and self._source.name not in known:
            known.append(self._source.name)
        return known

    def _find_by_mount(self, blob: Descriptor, destination: Repository) -> Placed | Wanted:
        """Look for the blob by a mount from the repository itself.

        A HEAD, then a POST for a missing blob, would be two requests; this is one for both.
        """
        try:
            session = destination.mount_blob(blob.digest, destination.name)
        except RateLimited:
            raise
        except RegistryError:
            self._placements.distrust(destination.registry)
            size = destination.blob_size(blob.digest)
            return "skipped" if self._is_present(size, blob, destination) else Wanted()
        if session is not None:
            return Wanted(session)
        self._note(blob, destination)
        self._counter.add(blobs_skipped=1)
        return "skipped"

    def _is_present(self, size: int | None, blob: Descriptor, destination: Repository) -> bool:
        """Tell, and note, whether a look that found a blob of `size` bytes there found this one."""
        # 0 stands for a registry that declares no size.
        if size not in {blob.size, 0}:
            self._shared.locations.forget(destination.registry, blob.digest, destination.name)
            return False
        self._note(blob, destination)
        self._counter.add(blobs_skipped=1)
        return True

    def _mount(self, blob: Descriptor, destination: Repository, known: Sequence[str]) -> Placed | Wanted:
        """Mount the blob from the first repository in `known` that may serve."""
        origin = next((name for name in known if not self._placements.is_denied(destination, name)), None)
        if origin is None:
            return Wanted(tried=known)
        is_own = str(destination.beside(origin)) == str(self._source)
        if not is_own and not self._is_at_source(blob, destination.beside(origin)):
            return Wanted(tried=known)
        try:
            session = destination.mount_blob(blob.digest, origin)
        except RateLimited:
            raise
        except RegistryUnavailable:
            # All tries of this blob failed: other blobs need not wait for as many tries.
            self._placements.deny(destination)
            return Wanted(tried=known)
        except RegistryError:
            self._placements.deny(destination, origin)
            return Wanted(tried=known)
        if session is None:
            self._note(blob, destination)
            self._counter.add(blobs_mounted=1)
            return "mounted"
        # The blob is gone, or the registry does not mount: the source's own repository does hold the blob.
        if is_own:
            self._placements.deny(destination, origin)
        self._shared.locations.forget(destination.registry, blob.digest, origin)
        return Wanted(session, known)

    def _is_at_source(self, blob: Descriptor, origin: Repository) -> bool:
        """Tell whether the source itself was seen to hold the blob that its manifest names, and `origin` holds.

        Otherwise a manifest could name a blob of a private repository, and have it mounted where others can read it.
        """
        if self._placements.has(blob, self._source):
            return True
        try:
            found = shows(self._source, blob, origin, self._placements)
        except (RateLimited, RegistryUnavailable):
            raise
        except RegistryError:
            return False
        if found:
            self._placements.add(blob, self._source)
        return found

    def _turn(
        self, blob: Descriptor, destination: Repository
    ) -> AbstractContextManager[Callable[[float], None] | None]:
        if blob.size <= _BIG_BYTES:
            return nullcontext()
        visits = self._visits(destination)

        def glance() -> None:
            for visit in visits:
                visit.ensure_room()

        return self._big.take(glance)

    def _explain(self, error: RegistryError, blob: Descriptor, destination: Repository) -> None:
        """Raise SourceChildMissing for a blob that the source lost; learn from other failures of an upload."""
        if isinstance(error, NotFound) and error.side is Side.SOURCE:
            raise SourceChildMissing(f"{self._source} has lost the blob {blob.digest}.") from None
        if isinstance(error, RegistryUnavailable):
            # A failed mount before it has no other cause.
            self._placements.allow(destination)

    def _arrive(self, blob: Descriptor, destination: Repository) -> Placed:
        """Note a blob that was uploaded."""
        self._placements.add_read(blob, self._source)
        self._note(blob, destination)
        if self._placements.is_new(destination.registry) and self._mounts_itself(blob, destination):
            self._placements.trust(destination.registry)
        self._counter.add(blobs_copied=1, bytes_copied=blob.size)
        return "copied"

    def _mounts_itself(self, blob: Descriptor, destination: Repository) -> bool:
        try:
            session = destination.mount_blob(blob.digest, destination.name)
        except RegistryError:
            return False
        if session is not None:
            destination.cancel_upload(session)
        return session is None

    def _note(self, blob: Descriptor, destination: Repository) -> None:
        self._placements.add(blob, destination)
        self._shared.locations.add(destination.registry, blob.digest, destination.name)

    @contextmanager
    def _leading(self, let_go: Callable[[], None], destination: Repository) -> Iterator[None]:
        """Let others move the blob too, from their own sources, once a registry of this copy is slow."""
        with ExitStack() as stack:
            for visit in self._visits(destination):
                stack.enter_context(visit.once_slow(let_go))
            yield

    def _visits(self, destination: Repository) -> list[Visit]:
        source = current_visit("source", self._source.registry)
        return [each for each in (source, current_visit("destination", destination.registry)) if each is not None]


def _telling(progress: Progress, moved: Callable[[float], None] | None) -> Progress:
    """Return a progress that notes how many bytes moved since it was called last."""
    if moved is None:
        return progress
    last = 0

    def tell(done: int) -> None:
        nonlocal last
        moved(max(0, done - last))
        last = done
        progress(done)

    return tell
