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
from tasks.transfer.copy.totals import Counter
from tasks.transfer.ports import BlobLocations, SingleFlight

Progress = Callable[[int], None]

# Smaller ones cost requests, not bandwidth: as many as there are threads may be on their way.
_BIG_BYTES: Final = 1 << 20
# Much shorter than any registry keeps a blob that nothing refers to yet.
_FRESH_SECONDS: Final = 600.0
_MOST_FRESH: Final = 100_000
_ANY: Final = ""


class Placements:
    """What this process placed or found moments ago, and how its registries mount; threads share it."""

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
        """Forget what was placed in a repository that turned out to lack some of it, and let it mount nothing.

        What a mount said to be there may be what is missing.
        """
        with self._guard:
            for key in [key for key in self._placed if key[0] == str(destination)]:
                del self._placed[key]
            self._finding[destination.registry] = False
            self._denied[str(destination), _ANY] = self._clock()

    def deny(self, destination: Repository, origin: str = _ANY) -> None:
        """Note that the registry lets `destination` mount nothing of `origin`, of anything if none is named."""
        with self._guard:
            self._denied[str(destination), origin] = self._clock()

    def allow(self, destination: Repository) -> None:
        """Take back that `destination` can mount nothing of anything."""
        with self._guard:
            self._denied.pop((str(destination), _ANY), None)

    def is_denied(self, destination: Repository, origin: str) -> bool:
        """Tell whether a mount from `origin` was denied not long ago."""
        with self._guard:
            return any(self._is_fresh(self._denied.get((str(destination), each))) for each in (origin, _ANY))

    def learn(self, registry: str, probe: Callable[[], bool]) -> None:
        """Note, by `probe` if it is not known yet, whether a mount of a repository's own blob finds it there."""
        with self._guard:
            if registry in self._finding:
                return
            self._finding[registry] = False
        if probe():
            with self._guard:
                self._finding[registry] = True

    def finds_by_mount(self, registry: str) -> bool:
        """Tell whether a mount from the same repository says if a blob is there."""
        with self._guard:
            return self._finding.get(registry, False)

    def distrust(self, registry: str) -> None:
        """Note that mounts do not tell what is there."""
        with self._guard:
            self._finding[registry] = False

    def _is_fresh(self, since: float | None) -> bool:
        return since is not None and self._clock() - since < _FRESH_SECONDS


class BlobPlacer:
    """Move blobs from one source repository into others; `big` bounds how many big ones are on their way at once."""

    def __init__(
        self,
        source: Repository,
        locations: BlobLocations,
        flights: SingleFlight,
        placements: Placements,
        big: AbstractContextManager[object],
        counter: Counter,
    ) -> None:
        self._source = source
        self._locations = locations
        self._flights = flights
        self._placements = placements
        self._big = big
        self._counter = counter

    def place(self, blob: Descriptor, destination: Repository, progress: Progress) -> None:
        """Make `destination` hold `blob`; `progress` is told how many of its bytes are done.

        A mount is tried first where a repository is known to hold the blob; where the registry answers with an
        upload session instead, that session takes the bytes, and where the mount fails, a plain upload does. Raises
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
        with self._flights.lead(destination.registry, blob.digest):
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
                # That a mount failed meant no more than that.
                self._placements.allow(destination)
                raise
        return "copied"

    def _known(self, blob: Descriptor, destination: Repository) -> list[str]:
        known = list(self._locations.repositories(destination.registry, blob.digest))
        if self._source.registry == destination.registry and self._source.name not in known:
            known.append(self._source.name)
        return known

    def _find(self, blob: Descriptor, destination: Repository, *, only: bool) -> UploadSession | bool:
        """Return True if the blob is there, else a session for it where the same request that looked opened one."""
        # A HEAD, then a POST for what is not there, would be two requests; a mount from the repository itself is both.
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
        """Return True if the blob is there now, else the session that the registry offered instead, if it did."""
        origin = next((name for name in known if not self._placements.is_denied(destination, name)), None)
        if origin is None or not (origin == self._source.name or self._is_at_source(blob)):
            return False
        try:
            session = destination.mount_blob(blob.digest, origin)
        except RateLimited:
            raise
        except RegistryUnavailable:
            # All tries of this blob have been in vain: the others need not wait for as many.
            self._placements.deny(destination)
            return False
        except RegistryError:
            self._placements.deny(destination, origin)
            return False
        if session is None:
            self._note(blob, destination)
            self._counter.add(blobs_mounted=1)
            return True
        # Not there any more, or the registry does not mount: the source's own repository does hold the blob.
        if origin == self._source.name:
            self._placements.deny(destination, origin)
        self._locations.forget(destination.registry, blob.digest, origin)
        return session

    def _is_at_source(self, blob: Descriptor) -> bool:
        """Tell whether the source was seen to hold the blob that its manifest names.

        Else it could name one of a repository that it may not read, and have it mounted where others may.
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
        with self._big if blob.size > _BIG_BYTES else nullcontext():
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


def _give_up(destination: Repository, session: UploadSession | Literal[True, False]) -> None:
    """Cancel a session that a mount opened, where no bytes will go into it."""
    if isinstance(session, UploadSession):
        destination.cancel_upload(session)
