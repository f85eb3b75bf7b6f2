"""Copy one digest with all its parts into repositories: blobs, then children, then the manifest (BEHAVIOUR 5)."""

import threading
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from concurrent.futures import Executor, wait
from dataclasses import replace
from typing import Final, NamedTuple, TypeVar

from tasks import contract, telemetry
from tasks.errors import (
    ContentMismatch,
    CopyIncomplete,
    ImagePusherError,
    NotFound,
    Retry,
    Side,
    SourceChildMissing,
    longest_wait,
)
from tasks.oci.descriptor import UNKNOWN_SIZE, Descriptor
from tasks.oci.digest import parse_digest
from tasks.oci.document import media_type_of
from tasks.oci.reference import RepositoryName
from tasks.registry.manifest_answer import FetchedManifest
from tasks.registry.repository import Registries, Repository
from tasks.registry.visits import Visits
from tasks.transfer.copy.blobs import BlobPlacer, Placements
from tasks.transfer.copy.meter import Meter, Report
from tasks.transfer.copy.totals import Counter
from tasks.transfer.copy.turns import Turns
from tasks.transfer.graph import Node, parse_node, walk
from tasks.transfer.plan.plan import Copy
from tasks.transfer.ports import BlobLocations, CopyOutcome, SingleFlight

Value = TypeVar("Value")

# A few round trips are a small part of the time that so many bytes take.
_WORTH_A_WAIT: Final = 16 << 20


class Copied(NamedTuple):
    """The outcome of a copy, its last progress, and the error that makes another try worthwhile, if any."""

    outcome: CopyOutcome
    progress: contract.CopyProgress
    transient: ImagePusherError | None


class Copier:
    """The copier of digests; the blobs of an image move in parallel on `executor`, at most `big_at_once` big ones."""

    def __init__(
        self,
        registries: Registries,
        locations: BlobLocations,
        flights: SingleFlight,
        executor: Executor,
        big_at_once: int,
        cancelled: threading.Event,
        deadline_seconds: float,
        visits: Visits,
    ) -> None:
        self._placements = Placements()
        self._big = Turns(big_at_once)
        self._visits = visits
        self._registries = registries
        self._locations = locations
        self._flights = flights
        self._executor = executor
        self._cancelled = cancelled
        self._deadline_seconds = deadline_seconds

    def copy(self, copy: Copy, report: Report = lambda _: None, content: bytes | None = None) -> Copied:
        """Do one copy and return how it ended; `content` is the manifest, if it was read before.

        If one source lacks a part or refuses to serve it, the next source is tried. Raises PushCancelled when the
        worker shuts down, SourceSlow, StateUnavailable.
        """
        counter = Counter()
        meter = Meter(copy.digest, report, self._cancelled, self._deadline_seconds)
        descriptor = Descriptor(copy.media_type, parse_digest(copy.digest), copy.size)
        known = None
        if content is not None:
            # Another item of the push may have read it: what this one's index says of its type is not to be trusted.
            known = FetchedManifest(content, media_type_of(content, copy.media_type), descriptor.digest)
        lacking = {
            str(place): self._registries.repository(*place, "destination", push=True) for place in copy.destinations
        }
        failures: dict[str, ImagePusherError] = {}
        for place in [copy.source, *copy.spare_sources]:
            meter.start_over()
            with self._visits.visit(place.registry):
                failed = self._run(place, counter, meter).bring(descriptor, lacking, known)
            failures = _without(failures, lacking) | _more_hopeful(failures, failed)
            # Another source does not help against a fault of the destination.
            lacking = {name: lacking[name] for name, error in failed.items() if error.side is Side.SOURCE}
            if not lacking:
                break
        return Copied(
            CopyOutcome(digest=copy.digest, errors=failures, totals=counter.totals()),
            meter.ended(failed=bool(failures)),
            longest_wait(failures.values()),
        )

    def _run(self, place: RepositoryName, counter: Counter, meter: Meter) -> "_Run":
        source = self._registries.repository(*place, "source")
        placer = BlobPlacer(source, self._locations, self._flights, self._placements, self._big, counter)
        return _Run(source, placer, self._placements, counter, self._executor, meter)


class _Run:
    """One copy under way; failures are kept by destination, so that one registry does not spoil the others."""

    def __init__(
        self,
        source: Repository,
        placer: BlobPlacer,
        placements: Placements,
        counter: Counter,
        executor: Executor,
        meter: Meter,
    ) -> None:
        self._source = source
        self._placer = placer
        self._placements = placements
        self._counter = counter
        self._executor = executor
        self._meter = meter

    def bring(
        self, descriptor: Descriptor, destinations: dict[str, Repository], known: FetchedManifest | None
    ) -> dict[str, ImagePusherError]:
        """Copy one manifest, fetched if it is not `known`, with all its parts; return failures by destination."""
        lacking, failures = self._lacking(descriptor, destinations)
        if not lacking:
            return failures
        try:
            nodes = list(walk(descriptor, lambda each: self._read(each, known)))
        except ImagePusherError as error:
            if error.retry is Retry.GIVE_BACK:
                raise
            return failures | dict.fromkeys(lacking, error.on(Side.SOURCE))
        for node in nodes:
            wanting = lacking
            if node.descriptor is not descriptor:
                wanting, failed = self._lacking(node.descriptor, lacking)
                failures |= failed
            failures |= self._settle(node, wanting)
            lacking = _without(lacking, failures)
        return failures

    def _settle(self, node: Node, lacking: dict[str, Repository]) -> dict[str, ImagePusherError]:
        """Copy one manifest with its blobs; copy again if the registry says that a part is missing."""
        filled = self._fill(node, lacking)
        stale = {name: lacking[name] for name, error in filled.items() if isinstance(error, CopyIncomplete)}
        for destination in stale.values():
            # A blob that was believed present is gone.
            self._placements.forget(destination)
        return _without(filled, stale) | (self._fill(node, stale) if stale else {})

    def _fill(self, node: Node, lacking: dict[str, Repository]) -> dict[str, ImagePusherError]:
        """Copy the blobs of one manifest, big ones first, then the manifest itself; return failures by destination."""
        failures: dict[str, ImagePusherError] = {}
        blobs = sorted(node.needs.blobs, key=lambda blob: -blob.size)
        self._meter.expect(sum(blob.size for blob in blobs) * len(lacking))
        for names in _rounds(lacking):
            for group in self._in_turn(blobs, [lacking[name].registry for name in names]):
                failures |= self._each(
                    [(name, blob) for blob in group for name in names],
                    lambda name, blob: self._placer.place(blob, lacking[name], self._meter.track()),
                )
        return failures | self._each(
            [(name, node.descriptor) for name in _without(lacking, failures)],
            lambda name, _: self._put(lacking[name], node),
        )

    def _in_turn(self, blobs: Sequence[Descriptor], registries: Iterable[str]) -> list[Sequence[Descriptor]]:
        """Return the blobs in the groups that go one after the other.

        The smallest blob of a big image goes alone to a registry that is new here: it shows whether the others can be
        looked for and begun by one request. A small image does not wait for that.
        """
        if sum(blob.size for blob in blobs[:-1]) < _WORTH_A_WAIT or all(map(self._placements.knows, registries)):
            return [blobs]
        return [blobs[-1:], blobs[:-1]]

    def _lacking(
        self, descriptor: Descriptor, destinations: dict[str, Repository]
    ) -> tuple[dict[str, Repository], dict[str, ImagePusherError]]:
        """Return the destinations without this manifest: a repository that has it has its parts too (BEHAVIOUR 5.2)."""
        present: set[str] = set()

        def look(name: str, _: Descriptor) -> None:
            found = destinations[name].resolve(descriptor.digest)
            # If sizes differ, the content itself will tell which one is wrong.
            if found is not None and descriptor.fits(found.size):
                present.add(name)

        probed, rest = _probes(destinations)
        failures = self._each([(name, descriptor) for name in probed], look)
        if present or failures:
            failures |= self._each([(name, descriptor) for name in rest], look)
        return _without(destinations, present | failures.keys()), failures

    def _read(self, descriptor: Descriptor, known: FetchedManifest | None) -> Node:
        try:
            known = known if known is not None and known.digest == descriptor.digest else None
            fetched = known or self._source.fetch_manifest(descriptor.digest)
        except NotFound:
            raise SourceChildMissing(f"{self._source} has lost the manifest {descriptor.digest}.") from None
        if not descriptor.fits(len(fetched.content)):
            raise ContentMismatch(
                f"{self._source}@{descriptor.digest} has {len(fetched.content)} bytes instead of the {descriptor.size}"
                " that the index declares."
            )
        node = parse_node(descriptor, fetched)
        return replace(node, needs=replace(node.needs, blobs=tuple(map(self._measured, node.needs.blobs))))

    def _measured(self, blob: Descriptor) -> Descriptor:
        """Return the descriptor of a blob with its size, which a manifest may lack (BEHAVIOUR 2.4)."""
        if blob.size != UNKNOWN_SIZE:
            return blob
        size = self._source.blob_size(blob.digest)
        if size is None:
            raise SourceChildMissing(f"{self._source} has lost the blob {blob.digest}.")
        return replace(blob, size=size)

    def _put(self, destination: Repository, node: Node) -> None:
        destination.push_manifest(node.descriptor.digest, node.manifest.content, node.manifest.media_type)
        self._counter.add(manifests_copied=1)
        telemetry.count(telemetry.MANIFESTS)

    def _each(
        self, parts: Sequence[tuple[str, Descriptor]], act: Callable[[str, Descriptor], None]
    ) -> dict[str, ImagePusherError]:
        """Do all parts in parallel, except further parts of a failed destination; return failures by destination."""
        failures: dict[str, ImagePusherError] = {}

        def run(name: str, descriptor: Descriptor) -> None:
            self._meter.check()
            if name in failures:
                return
            try:
                act(name, descriptor)
            except ImagePusherError as error:
                if error.retry is Retry.GIVE_BACK:
                    raise
                failures.setdefault(name, error)

        futures = [self._executor.submit(run, name, descriptor) for name, descriptor in parts]
        wait(futures)
        for future in futures:
            future.result()
        return failures


def _probes(destinations: dict[str, Repository]) -> tuple[list[str], list[str]]:
    """Return the first and the last destination of each registry, and the others.

    A manifest that neither of the two has is taken to be in none of the others; if one does have it, mounts find out.
    """
    ends = _first_of_each_registry(destinations.items()) | _first_of_each_registry(reversed(destinations.items()))
    return _parted(destinations, ends)


def _rounds(destinations: dict[str, Repository]) -> tuple[list[str], list[str]]:
    """Return one destination of each registry, and the others, which can mount from the first ones."""
    return _parted(destinations, _first_of_each_registry(destinations.items()))


def _first_of_each_registry(destinations: Iterable[tuple[str, Repository]]) -> set[str]:
    first: dict[str, str] = {}
    for name, destination in destinations:
        first.setdefault(destination.registry, name)
    return set(first.values())


def _parted(destinations: dict[str, Repository], chosen: set[str]) -> tuple[list[str], list[str]]:
    return [name for name in destinations if name in chosen], [name for name in destinations if name not in chosen]


def _without(named: Mapping[str, Value], names: Container[str]) -> dict[str, Value]:
    return {name: value for name, value in named.items() if name not in names}


def _more_hopeful(
    before: Mapping[str, ImagePusherError], now: Mapping[str, ImagePusherError]
) -> dict[str, ImagePusherError]:
    """Return the errors of the last source, or of an earlier source if only that one may serve later."""
    return {name: before[name] if name in before and before[name].passes else error for name, error in now.items()}
