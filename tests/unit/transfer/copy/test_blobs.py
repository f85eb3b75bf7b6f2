"""How a blob gets into a repository: with the fewest requests that its registry lets one trust, and whatever fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tasks import contract
from tasks.coordination.local.in_process import KeyLocks, LocalBlobLocations, LocalSingleFlight
from tasks.errors import RateLimited, RegistryUnavailable, SourceChildMissing
from tasks.registry.repository import Repository
from tasks.registry.settings import RegistrySettings
from tasks.transfer.copy.blobs import BlobPlacer
from tasks.transfer.copy.fair_bound import Turns
from tasks.transfer.copy.placements import Placements
from tasks.transfer.copy.totals import Counter
from tasks.transfer.copy.width import Width
from tasks.transfer.ports import BlobSharing
from tests.support.scripted import Answer, Exchange, NoAnswer, Received, Reply, ScriptedRegistry
from tests.unit.registry.clients import NAME, PING, QUICK, SESSION, UPLOADS, USER, blob_of, blob_path, client

OTHER = "other/app"
ONE, TWO, THREE = b"one", b"two, of another size", b"three"


def served(*contents: bytes) -> list[Exchange]:
    return [Exchange("GET", blob_path(content), Answer(200, body=content)) for content in contents]


def looked_for(content: bytes, status: int = 404) -> Exchange:
    return Exchange("HEAD", blob_path(content), Answer(status, {"Content-Length": str(len(content))}))


def opened() -> Exchange:
    def check(received: Received) -> None:
        assert received.query == "", "this is a mount"

    return Exchange("POST", UPLOADS, Answer(202, {"Location": SESSION}), request_body=b"", check=check)


def mounted(content: bytes, reply: int | Reply, origin: str = NAME, times: int = 1) -> Exchange:
    """Ask a repository to mount a blob, of its own if no other is named."""
    path = f"{UPLOADS}?mount={blob_of(content).digest}&from={origin}"
    answer = Answer(reply, {"Location": SESSION}) if isinstance(reply, int) else reply
    return Exchange("POST", path, answer, times=times)


def stored(content: bytes) -> Exchange:
    return Exchange("PUT", f"{SESSION}?digest={blob_of(content).digest}", Answer(201), request_body=content)


@dataclass(frozen=True)
class Placing:
    """Hold a placer, and the repository that it fills."""

    placer: BlobPlacer
    placements: Placements
    destination: Repository
    counter: Counter

    def place(self, *contents: bytes) -> contract.Totals:
        for content in contents:
            self.placer.place(blob_of(content), self.destination, lambda _: None)
        return self.counter.totals()


@contextmanager
def placing(fetched: tuple[bytes, ...], *script: Exchange, elsewhere: tuple[bytes, ...] = ()) -> Iterator[Placing]:
    """Yield what fills a repository as the script says; `elsewhere` is known to be in another of its registry.

    The source was seen to have it.
    """
    source = [PING, *served(*fetched)] if fetched else []
    with ScriptedRegistry(*source) as a, ScriptedRegistry(PING, *script, ordered=True) as b:
        locations, placements, counter = LocalBlobLocations(), Placements(), Counter()
        for content in elsewhere:
            locations.add(b.host, blob_of(content).digest, OTHER)
            placements.add(blob_of(content), client(a.host))
        flights = LocalSingleFlight(KeyLocks(), 10)
        placer = BlobPlacer(client(a.host), BlobSharing(locations, flights), placements, Turns(Width(1, 1)), counter)
        destination = client(b.host, role="destination", push=True, settings=RegistrySettings(credentials=USER))
        yield Placing(placer, placements, destination, counter)


def place_all(*script: Exchange) -> contract.Totals:
    """Place the three, of which the last is there, as the script says."""
    with placing((ONE, TWO), *script) as placed:
        return placed.place(ONE, TWO, THREE)


def test_a_registry_that_mounts_is_asked_once_for_each_further_blob() -> None:
    """The request that looks for a blob opens its upload, too (distribution-spec 1.1, "Mounting a blob")."""
    learned = [looked_for(ONE), opened(), stored(ONE), mounted(ONE, 201)]
    totals = place_all(*learned, mounted(TWO, 202), stored(TWO), mounted(THREE, 201))
    assert (totals.blobs_copied, totals.blobs_skipped) == (2, 1)


@pytest.mark.parametrize("status", [202, 400, 405])
def test_a_registry_that_does_not_mount_is_asked_for_each_blob_before_its_upload(status: int) -> None:
    """It would take a blob that is there once more."""
    cancelled = [Exchange("DELETE", SESSION, Answer(204))] if status == 202 else []
    learned = [looked_for(ONE), opened(), stored(ONE), mounted(ONE, status), *cancelled]
    totals = place_all(*learned, looked_for(TWO), opened(), stored(TWO), looked_for(THREE, 200))
    assert (totals.blobs_copied, totals.blobs_skipped) == (2, 1)


# What a registry that has no idea of mounts may answer to one, and how often it is asked.
REFUSALS: list[tuple[Reply, int]] = [
    *((Answer(status), 1) for status in (200, 202, 204, 301, 400, 401, 403, 404, 405, 409, 501)),
    (Answer(301, {"Location": "/elsewhere"}), 1),
    (Answer(307, {"Location": "ftp://host/"}), 1),
    *((reply, QUICK.tries) for reply in (Answer(500), Answer(503), NoAnswer.DROP)),
]


@pytest.mark.parametrize(("reply", "tries"), REFUSALS)
def test_a_registry_that_mounts_no_longer_is_asked_as_one_that_does_not(reply: Reply, tries: int) -> None:
    learned = [looked_for(ONE), opened(), stored(ONE), mounted(ONE, 201)]
    refused = [mounted(TWO, reply, times=tries), looked_for(TWO), opened(), stored(TWO)]
    totals = place_all(*learned, *refused, looked_for(THREE, 200))
    assert (totals.blobs_copied, totals.blobs_skipped) == (2, 1)


@pytest.mark.parametrize(("reply", "tries"), REFUSALS)
def test_what_cannot_be_mounted_is_uploaded_and_the_next_blob_at_once(reply: Reply, tries: int) -> None:
    """5.1."""
    refused = [mounted(ONE, reply, OTHER, tries), opened(), stored(ONE), mounted(ONE, 405)]
    with placing((ONE, TWO), *refused, opened(), stored(TWO), elsewhere=(ONE, TWO)) as placed:
        totals = placed.place(ONE, TWO)
    assert (totals.blobs_copied, totals.blobs_mounted) == (2, 0)


def test_a_mount_that_is_limited_is_no_reason_to_upload() -> None:
    """8.3: the bytes would be one more burden."""
    limited = mounted(ONE, 429, OTHER, QUICK.tries)
    with placing((), limited, elsewhere=(ONE,)) as placed, pytest.raises(RateLimited):
        placed.place(ONE)


def test_a_registry_that_was_away_as_a_whole_may_mount_when_it_is_back() -> None:
    """5.1."""
    away = Exchange("POST", UPLOADS, Answer(503), times=QUICK.tries)
    script = [mounted(ONE, 503, OTHER, QUICK.tries), away, mounted(ONE, 201, OTHER)]
    with placing((ONE,), *script, elsewhere=(ONE,)) as placed:
        with pytest.raises(RegistryUnavailable):
            placed.place(ONE)
        assert placed.place(ONE).blobs_mounted == 1


def test_what_a_mount_did_not_bring_is_uploaded() -> None:
    """5.1: the registry says that it mounts, and lacks the blob when the manifest comes."""
    again = [looked_for(ONE), opened(), stored(ONE), opened(), stored(TWO)]
    with placing((ONE, TWO), mounted(ONE, 201, OTHER), *again, elsewhere=(ONE, TWO)) as placed:
        placed.place(ONE)
        placed.placements.forget(placed.destination)
        totals = placed.place(ONE, TWO)
    assert totals.blobs_copied == 2


def test_what_the_source_does_not_have_is_mounted_from_nowhere_else() -> None:
    """Its manifest could name what a private repository of B holds, to have it where everybody may read it."""
    missing = Answer(404, body=b"{}")
    path = blob_path(ONE)
    with ScriptedRegistry(PING, Exchange("GET", path, missing, times=2)) as a, ScriptedRegistry() as b:
        locations, counter = LocalBlobLocations(), Counter()
        locations.add(b.host, blob_of(ONE).digest, OTHER)
        flights = LocalSingleFlight(KeyLocks(), 10)
        placer = BlobPlacer(client(a.host), BlobSharing(locations, flights), Placements(), Turns(Width(1, 1)), counter)
        destination = client(b.host, role="destination", push=True, settings=RegistrySettings(credentials=USER))
        with pytest.raises(SourceChildMissing):
            placer.place(blob_of(ONE), destination, lambda _: None)
    assert counter.totals().blobs_mounted == 0
