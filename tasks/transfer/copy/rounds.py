"""The rounds of a copy from one source: looks, blobs, children, then the manifest (BEHAVIOUR 5).

The parts of a round go in parallel; the next round follows from what they found.
"""

from collections.abc import Callable, Container, Generator, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import msgspec
from msgspec.structs import replace

from tasks import telemetry
from tasks.errors import (
    CopyIncomplete,
    ImagePusherError,
    NotFound,
    Side,
    SourceChildMissing,
)
from tasks.oci.descriptor import UNKNOWN_SIZE, Descriptor
from tasks.registry.manifest_answer import FetchedManifest
from tasks.registry.repository import Repository
from tasks.transfer.copy.blobs import BlobPlacer
from tasks.transfer.copy.meter import Meter
from tasks.transfer.copy.placements import Placements
from tasks.transfer.copy.totals import Counter
from tasks.transfer.graph import Node, ensure_size, parse_node, walk

Value = TypeVar("Value")


class Part(msgspec.Struct, frozen=True):
    """One part of a round: `act` does it for the destination called `name`."""

    name: str
    act: Callable[[], None]


# Yields rounds, and returns what the last of them found.
Rounds = Generator[Sequence[Part], None, Value]

# A few round trips are a small part of the time that so many bytes take.
_WORTH_A_WAIT: Final = 16 << 20


class SourceCopy:
    """One copy from one source; `failures` are kept by destination, so that one registry does not spoil the others."""

    def __init__(
        self, source: Repository, placer: BlobPlacer, placements: Placements, counter: Counter, meter: Meter
    ) -> None:
        self.failures: dict[str, ImagePusherError] = {}
        self._source = source
        self._placer = placer
        self._placements = placements
        self._counter = counter
        self._meter = meter

    def rounds(
        self, descriptor: Descriptor, destinations: dict[str, Repository], known: FetchedManifest | None
    ) -> Rounds[None]:
        """Yield the rounds that copy one manifest, fetched if it is not `known`, with all its parts.

        All parts of a round end before the next one is asked for.
        """
        lacking, holders = yield from self._look(descriptor, destinations)
        if not lacking:
            return
        try:
            nodes = list(walk(descriptor, lambda each: self._read(each, known)))
        except ImagePusherError as error:
            if error.gives_back:
                raise
            self.failures |= dict.fromkeys(lacking, error.on(Side.SOURCE))
            return
        for node in nodes:
            wanting = _without(lacking, self.failures)
            others: dict[str, Repository] = {}
            if node.descriptor is not descriptor:
                wanting, others = yield from self._look(node.descriptor, wanting)
            self._tell_of_holders(node, wanting, others | holders)
            yield from self._settle(node, wanting)

    def do(self, part: Part) -> None:
        """Do one part, unless its destination has failed; keep the failure.

        Raises PushCancelled when the worker shuts down, and errors for which the task is given back.
        """
        self._meter.check()
        if part.name in self.failures:
            return
        try:
            part.act()
        except ImagePusherError as error:
            if error.gives_back:
                raise
            self.failures.setdefault(part.name, error)

    def _tell_of_holders(self, node: Node, lacking: dict[str, Repository], holders: Mapping[str, Repository]) -> None:
        """Let repositories that lack a manifest mount its blobs from one that has it (BEHAVIOUR 5.1)."""
        for registry in {destination.registry for destination in lacking.values()} & holders.keys():
            for blob in node.needs.blobs:
                self._placer.note_holder(blob, holders[registry])

    def _settle(self, node: Node, lacking: dict[str, Repository]) -> Rounds[None]:
        """Copy one manifest with its blobs; copy again if the registry says that a part is missing."""
        yield from self._fill(node, lacking)
        stale = {name: lacking[name] for name in lacking if isinstance(self.failures.get(name), CopyIncomplete)}
        for name, destination in stale.items():
            # A blob that was believed present is gone.
            self._placements.forget(destination)
            del self.failures[name]
        if stale:
            yield from self._fill(node, stale)

    def _fill(self, node: Node, lacking: dict[str, Repository]) -> Rounds[None]:
        """Copy the blobs of one manifest, big ones first, then the manifest itself."""
        blobs = sorted(node.needs.blobs, key=lambda blob: -blob.size)
        self._meter.expect(sum(blob.size for blob in blobs) * len(lacking))
        for names in _first_and_others(lacking):
            for group in self._in_turn(blobs, [lacking[name].registry for name in names]):
                yield [
                    Part(name, partial(self._placer.place, blob, lacking[name], self._meter.track()))
                    for blob in group
                    for name in names
                ]
        yield [Part(name, partial(self._put, lacking[name], node)) for name in _without(lacking, self.failures)]

    def _in_turn(self, blobs: Sequence[Descriptor], registries: Iterable[str]) -> list[Sequence[Descriptor]]:
        """Return the blobs in the groups that go one after the other.

        The smallest blob of a big image goes alone to a registry that is new here: it shows whether the others can be
        looked for and begun by one request. A small image does not wait for that.
        """
        if sum(blob.size for blob in blobs[:-1]) < _WORTH_A_WAIT or all(map(self._placements.knows, registries)):
            return [blobs]
        return [blobs[-1:], blobs[:-1]]

    def _look(
        self, descriptor: Descriptor, destinations: dict[str, Repository]
    ) -> Rounds[tuple[dict[str, Repository], dict[str, Repository]]]:
        """Find the destinations without this manifest, and of each registry one that has it.

        A repository that has a manifest has its parts too (BEHAVIOUR 5.2).
        """
        present: set[str] = set()

        def look(name: str) -> None:
            found = destinations[name].resolve(descriptor.digest)
            # If sizes differ, the content itself will tell which one is wrong.
            if found is not None and descriptor.fits(found.size):
                present.add(name)

        probed, rest = _probes(destinations)
        yield [Part(name, partial(look, name)) for name in probed]
        if present or not self.failures.keys().isdisjoint(probed):
            yield [Part(name, partial(look, name)) for name in rest]
        holders = {destinations[name].registry: destinations[name] for name in present}
        return _without(destinations, present | self.failures.keys()), holders

    def _read(self, descriptor: Descriptor, known: FetchedManifest | None) -> Node:
        self._meter.check()
        try:
            known = known if known is not None and known.digest == descriptor.digest else None
            fetched = known or self._source.fetch_manifest(descriptor.digest)
        except NotFound:
            raise SourceChildMissing(f"{self._source} has lost the manifest {descriptor.digest}.") from None
        ensure_size(str(self._source), descriptor, len(fetched.content))
        node = parse_node(descriptor, fetched)
        needs = msgspec.structs.replace(node.needs, blobs=tuple(map(self._measured, node.needs.blobs)))
        return msgspec.structs.replace(node, needs=needs)

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


def _probes(destinations: dict[str, Repository]) -> tuple[list[str], list[str]]:
    """Return the first and the last destination of each registry, and the others.

    If neither of the two has a manifest, the others are assumed not to have it; mounts find those that do.
    """
    ends = _first_of_each_registry(destinations.items()) | _first_of_each_registry(reversed(destinations.items()))
    return _parted(destinations, ends)


def _first_and_others(destinations: dict[str, Repository]) -> tuple[list[str], list[str]]:
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
