"""Bring one blob into the repositories of a registry: its bytes once, mounts for the rest (BEHAVIOUR 5.1, 5.4)."""

from collections.abc import Callable

from tasks.errors import AuthenticationRefused, NotFound, RequestRefused, SourceChildMissing
from tasks.oci.descriptor import Descriptor
from tasks.registry.repository import Repository
from tasks.registry.upload import UploadSession
from tasks.transfer.ports import BlobLocations, SingleFlight
from tasks.transfer.totals import Counter

Progress = Callable[[int], None]


class BlobPlacer:
    """Move blobs from one source repository into others."""

    def __init__(self, source: Repository, locations: BlobLocations, flights: SingleFlight, counter: Counter) -> None:
        self._source = source
        self._locations = locations
        self._flights = flights
        self._counter = counter

    def place(self, blob: Descriptor, destination: Repository, progress: Progress) -> None:
        """Make `destination` hold `blob`; `progress` is told how many of its bytes are done.

        A mount is tried first where a repository is known to hold the blob; where the registry answers with an
        upload session instead, that session takes the bytes. Raises RegistryError, SourceError.
        """
        known = self._known(blob, destination)
        found = self._mount(blob, destination, known) if known else self._present(blob, destination)
        if found is not True:
            with self._flights.lead(destination.registry, blob.digest):
                arrived = [name for name in self._known(blob, destination) if name not in known]
                late = self._mount(blob, destination, arrived) if arrived else False
                if late is not True:
                    self._upload(blob, destination, progress, late or found or None)
        progress(blob.size)

    def _known(self, blob: Descriptor, destination: Repository) -> list[str]:
        known = list(self._locations.repositories(destination.registry, blob.digest))
        if self._source.registry == destination.registry and self._source.name not in known:
            known.append(self._source.name)
        return known

    def _present(self, blob: Descriptor, destination: Repository) -> bool:
        present = destination.blob_size(blob.digest) is not None
        if present:
            self._locations.add(destination.registry, blob.digest, destination.name)
            self._counter.add(blobs_skipped=1)
        return present

    def _mount(self, blob: Descriptor, destination: Repository, known: list[str]) -> UploadSession | bool:
        """Return True if the blob is there, else the session that the registry offered instead, if it did."""
        if destination.name in known:
            if self._present(blob, destination):
                return True
            self._locations.forget(destination.registry, blob.digest, destination.name)
            known = [name for name in known if name != destination.name]
        if not known:
            return False
        try:
            session = destination.mount_blob(blob.digest, known[0])
        except (AuthenticationRefused, NotFound, RequestRefused, SourceChildMissing):
            return False
        if session is None:
            self._locations.add(destination.registry, blob.digest, destination.name)
            self._counter.add(blobs_mounted=1)
            return True
        if known[0] != self._source.name:
            self._locations.forget(destination.registry, blob.digest, known[0])
        return session

    def _upload(
        self, blob: Descriptor, destination: Repository, progress: Progress, session: UploadSession | None
    ) -> None:
        try:
            reader = self._source.open_blob(blob)
        except NotFound:
            raise SourceChildMissing(f"{self._source} has lost the blob {blob.digest}.") from None
        with reader:
            destination.push_blob(blob, reader, progress, session)
        self._locations.add(destination.registry, blob.digest, destination.name)
        self._counter.add(blobs_copied=1, bytes_copied=blob.size)
