"""Copy one digest with all its parts into repositories, from the first source that serves (BEHAVIOUR 5, 6.8)."""

import threading
from collections.abc import Mapping
from concurrent.futures import Executor, wait
from typing import TYPE_CHECKING

import msgspec

from tasks import contract
from tasks.errors import ImagePusherError, Side, longest_wait
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import parse_digest
from tasks.oci.document import media_type_of
from tasks.oci.reference import RepositoryName
from tasks.registry.manifest_answer import FetchedManifest
from tasks.registry.repository import Registries
from tasks.transfer.copy.fair_bound import Turns
from tasks.transfer.copy.limits import CopyLimits
from tasks.transfer.copy.meter import Meter, Report
from tasks.transfer.copy.placements import Placements
from tasks.transfer.copy.totals import Counter
from tasks.transfer.copy.width import Width
from tasks.transfer.plan.plan import Copy
from tasks.transfer.ports import BlobSharing, CopyOutcome

if TYPE_CHECKING:
    from tasks.transfer.copy.rounds import SourceCopy


class Copied(msgspec.Struct, frozen=True):
    """The outcome of a copy, its last progress, and the error that makes another try worthwhile, if any."""

    outcome: CopyOutcome
    progress: contract.CopyProgress
    transient: ImagePusherError | None


class Copier:
    """The copier of digests; the blobs of an image move in parallel on `executor`, until `cancelled` is set."""

    def __init__(
        self,
        registries: Registries,
        shared: BlobSharing,
        executor: Executor,
        limits: CopyLimits,
        cancelled: threading.Event,
    ) -> None:
        self._placements = Placements()
        self._big = Turns(Width(limits.big_at_once, limits.most_big))
        self._registries = registries
        self._shared = shared
        self._executor = executor
        self._limits = limits
        self._cancelled = cancelled

    def copy(self, copy: Copy, report: Report = lambda _: None, content: bytes | None = None) -> Copied:
        """Do one copy and return how it ended; `content` is the manifest, if it was read before.

        If one source lacks a part or refuses to serve it, the next source is tried. Raises PushCancelled when the
        worker shuts down, SourceSlow, DestinationSlow, StateUnavailable.
        """
        counter = Counter()
        meter = Meter(copy.digest, report, self._cancelled, self._limits.seconds)
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
            under_way = self._begin(place, counter, meter)
            with self._limits.visits.visit(place.registry, (each.registry for each in lacking.values())):
                for parts in under_way.rounds(descriptor, lacking, known):
                    futures = [self._executor.submit(under_way.do, part) for part in parts]
                    wait(futures)
                    for future in futures:
                        future.result()
            failed = under_way.failures
            settled = {name: error for name, error in failures.items() if name not in lacking}
            failures = settled | _more_hopeful(failures, failed)
            # Another source does not help against a fault of the destination.
            lacking = {name: lacking[name] for name, error in failed.items() if error.side is Side.SOURCE}
            if not lacking:
                break
        return Copied(
            CopyOutcome(digest=copy.digest, errors=failures, totals=counter.totals()),
            meter.ended(failed=bool(failures)),
            longest_wait(failures.values()),
        )

    def _begin(self, place: RepositoryName, counter: Counter, meter: Meter) -> "SourceCopy":
        # A push whose images are there already copies nothing.
        from tasks.transfer.copy.blobs import BlobPlacer  # noqa: PLC0415
        from tasks.transfer.copy.rounds import SourceCopy  # noqa: PLC0415

        source = self._registries.repository(*place, "source")
        placer = BlobPlacer(source, self._shared, self._placements, self._big, counter)
        return SourceCopy(source, placer, self._placements, counter, meter)


def _more_hopeful(
    before: Mapping[str, ImagePusherError], now: Mapping[str, ImagePusherError]
) -> dict[str, ImagePusherError]:
    """Return the errors of the last source, or of an earlier source if only that one may serve later."""
    return {name: before[name] if name in before and before[name].passes else error for name, error in now.items()}
