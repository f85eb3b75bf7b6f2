"""Bring one blob into the repositories of a registry: its bytes once, mounts for the rest (BEHAVIOUR 5.1, 5.4)."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Literal

from tasks import telemetry
from tasks.errors import NotFound, RateLimited, RegistryError, RegistryUnavailable, SourceChildMissing
from tasks.oci.descriptor import Descriptor
from tasks.registry.blob.session import UploadSession
from tasks.registry.repository import Repository
from tasks.registry.visits import current_visit
from tasks.transfer.copy.totals import Counter
from tasks.transfer.copy.turns import Turns
from tasks.transfer.ports import BlobLocations, SingleFlight

Progress = Callable[[int], None]

# Smaller blobs cost requests, not bandwidth: every thread may move one.
_BIG_BYTES: Final = 1 << 20
# Much shorter than the time for which any registry keeps an unreferenced blob.
_FRESH_SECONDS: Final = 600.0
_MOST_FRESH: Final = 100_000
_ANY: Final = ""


class Placements:
    """The blobs that this process placed or found moments ago, and how registries mount; shared by threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._placed: dict[tuple[str, str], float] = {}
        self._denied: dict[tuple[str, str], float] = {}
        self._finding: dict[str, bool] = {}

    def add(self, blob: Descriptor, destination: Repository) -> None:
        """Note that `destination` holds `blob`."""
        with self._guard:
            if len(self._placed) >= _MOST_FRESH:
                self._placed.clear()
            self._placed[str(destination), blob.digest] = self._clock()

    def has(self, blob: Descriptor, destination: Repository) -> bool:
        """Tell whether `destination` held `blob` moments ago."""
        with self._guard:
            return self._is_fresh(self._placed.get((str(destination), blob.digest)))

    def forget(self, destination: Repository) -> None:
        """Forget the blobs of a repository that turned out to lack some of them, and let it mount nothing.

        A blob that is missing may be one that a mount reported as present.
        """
        with self._guard:
            for key in [key for key in self._placed if key[0] == str(destination)]:
                del self._placed[key]
            self._finding[destination.registry] = False
            self._denied[str(destination), _ANY] = self._clock()

    def deny(self, destination: Repository, origin: str = _ANY) -> None:
        """Note that the registry lets `destination` mount nothing from `origin`, or from any repository by default."""
        with self._guard:
            self._denied[str(destination), origin] = self._clock()

    def allow(self, destination: Repository) -> None:
        """Take back the note that `destination` can mount from no repository."""
        with self._guard:
            self._denied.pop((str(destination), _ANY), None)

    def is_denied(self, destination: Repository, origin: str) -> bool:
        """Tell whether a mount from `origin` was denied not long ago."""
        with self._guard:
            return any(self._is_fresh(self._denied.get((str(destination), each))) for each in (origin, _ANY))

    def learn(self, registry: str, probe: Callable[[], bool]) -> None:
        """Note whether a mount from the same repository finds a blob there; `probe` tells it if it is not known yet."""
        with self._guard:
            if registry in self._finding:
                return
            self._finding[registry] = False
        if probe():
            with self._guard:
                self._finding[registry] = True

    def knows(self, registry: str) -> bool:
        """Tell whether it is known, or being found out, what a mount from the same repository shows."""
        with self._guard:
            return registry in self._finding

    def finds_by_mount(self, registry: str) -> bool:
        """Tell whether a mount from the same repository shows if a blob is there."""
        with self._guard:
            return self._finding.get(registry, False)

    def distrust(self, registry: str) -> None:
        """Note that mounts do not show which blobs are there."""
        with self._guard:
            self._finding[registry] = False

    def _is_fresh(self, since: float | None) -> bool:
        return since is not None and self._clock() - since < _FRESH_SECONDS


class BlobPlacer:
    """The mover of blobs from one source repository into others; `big` bounds the big blobs under way at once."""

    def __init__(
        self,
        source: Repository,
        locations: BlobLocations,
        flights: SingleFlight,
        placements: Placements,
        big: Turns,
        counter: Counter,
    ) -> None:
        self._source = source
        self._locations = locations
        self._flights = flights
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
            outcome = self._place(blob, destination, progress)
            span.set("outcome", outcome)
        telemetry.count(telemetry.BLOBS, outcome=outcome)
        telemetry.count(telemetry.BYTES, blob.size, outcome=outcome)
        progress(blob.size)

    def _place(self, blob: Descriptor, destination: Repository, progress: Progress) -> str:
        if self._placements.has(blob, destination):
            self._counter.add(blobs_skipped=1)
            return "skipped"
        known = self._known(blob, destination)
        session: UploadSession | bool = False
        if destination.name in known or not known:
            session = self._find(blob, destination, only=not known)
            if session is True:
                return "skipped"
            known = [name for name in known if name != destination.name]
        session = session or self._mount(blob, destination, known)
        if session is True:
            return "mounted"
        with self._flights.lead(destination.registry, blob.digest) as let_go, _leading(let_go):
            arrived = [name for name in self._known(blob, destination) if name not in known]
            if destination.name in arrived and self._is_present(blob, destination):
                _give_up(destination, session)
                return "skipped"
            late = self._mount(blob, destination, [name for name in arrived if name != destination.name])
            if late is not False:
                _give_up(destination, session)
            if late is True:
                return "mounted"
            try:
                self._upload(blob, destination, progress, late or session or None)
            except RegistryUnavailable:
                # The failed mount has no other cause.
                self._placements.allow(destination)
                raise
        return "copied"

    def _known(self, blob: Descriptor, destination: Repository) -> list[str]:
        known = list(self._locations.repositories(destination.registry, blob.digest))
        if self._source.registry == destination.registry and self._source.name not in known:
            known.append(self._source.name)
        return known

    def _find(self, blob: Descriptor, destination: Repository, *, only: bool) -> UploadSession | bool:
        """Return True if the blob is there, else the upload session if the look opened one, else False."""
        # A HEAD, then a POST for a missing blob, would be two requests; a mount from the repository itself is both.
        if not (only and self._placements.finds_by_mount(destination.registry)):
            return self._is_present(blob, destination)
        try:
            session = destination.mount_blob(blob.digest, destination.name)
        except RateLimited:
            raise
        except RegistryError:
            self._placements.distrust(destination.registry)
            return self._is_present(blob, destination)
        if session is not None:
            return session
        self._note(blob, destination)
        self._counter.add(blobs_skipped=1)
        return True

    def _is_present(self, blob: Descriptor, destination: Repository) -> bool:
        if not destination.has_blob(blob):
            self._locations.forget(destination.registry, blob.digest, destination.name)
            return False
        self._note(blob, destination)
        self._counter.add(blobs_skipped=1)
        return True

    def _mount(self, blob: Descriptor, destination: Repository, known: list[str]) -> UploadSession | bool:
        """Return True if the blob is there now, else the session that the registry offered, else False."""
        origin = next((name for name in known if not self._placements.is_denied(destination, name)), None)
        if origin is None or not (origin == self._source.name or self._is_at_source(blob)):
            return False
        try:
            session = destination.mount_blob(blob.digest, origin)
        except RateLimited:
            raise
        except RegistryUnavailable:
            # All tries of this blob failed: other blobs need not wait for as many tries.
            self._placements.deny(destination)
            return False
        except RegistryError:
            self._placements.deny(destination, origin)
            return False
        if session is None:
            self._note(blob, destination)
            self._counter.add(blobs_mounted=1)
            return True
        # The blob is gone, or the registry does not mount: the source's own repository does hold the blob.
        if origin == self._source.name:
            self._placements.deny(destination, origin)
        self._locations.forget(destination.registry, blob.digest, origin)
        return session

    def _is_at_source(self, blob: Descriptor) -> bool:
        """Tell whether the source itself was seen to hold the blob that its manifest names.

        Otherwise a manifest could name a blob of a private repository, and have it mounted where others can read it.
        """
        if self._placements.has(blob, self._source):
            return True
        try:
            found = self._source.has_blob(blob)
        except (RateLimited, RegistryUnavailable):
            raise
        except RegistryError:
            return False
        if found:
            self._placements.add(blob, self._source)
        return found

    def _upload(
        self, blob: Descriptor, destination: Repository, progress: Progress, session: UploadSession | None
    ) -> None:
        with self._big.take() if blob.size > _BIG_BYTES else nullcontext():
            try:
                reader = self._source.open_blob(blob)
            except NotFound:
                raise SourceChildMissing(f"{self._source} has lost the blob {blob.digest}.") from None
            with reader:
                destination.push_blob(blob, reader, progress, session)
                self._placements.add(blob, self._source)
        self._note(blob, destination)
        self._placements.learn(destination.registry, lambda: self._mounts_itself(blob, destination))
        self._counter.add(blobs_copied=1, bytes_copied=blob.size)

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
        self._locations.add(destination.registry, blob.digest, destination.name)


def _leading(let_go: Callable[[], None]) -> AbstractContextManager[None]:
    """Let others move the blob too, from their own sources, once this copy's source sends next to nothing."""
    visit = current_visit()
    return nullcontext() if visit is None else visit.once_slow(let_go)


def _give_up(destination: Repository, session: UploadSession | Literal[True, False]) -> None:
    """Cancel a session that a mount opened, if no bytes will go into it."""
    if isinstance(session, UploadSession):
        destination.cancel_upload(session)
