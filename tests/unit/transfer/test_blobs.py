"""How a blob that nobody knows of is looked for: with the fewest requests that the registry lets one trust."""

from contextlib import nullcontext

import pytest

from tasks import contract
from tasks.coordination.local import KeyLocks, LocalBlobLocations, LocalSingleFlight
from tasks.registry.settings import RegistrySettings
from tasks.transfer.blobs import BlobPlacer, Placements
from tasks.transfer.totals import Counter
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.unit.registry.clients import NAME, PING, SESSION, UPLOADS, USER, blob_of, blob_path, client

ONE, TWO, THREE = b"one", b"two, of another size", b"three"


def served(*contents: bytes) -> list[Exchange]:
    return [Exchange("GET", blob_path(content), Answer(200, body=content)) for content in contents]


def looked_for(content: bytes, status: int = 404) -> Exchange:
    return Exchange("HEAD", blob_path(content), Answer(status, {"Content-Length": str(len(content))}))


def opened() -> Exchange:
    return Exchange("POST", UPLOADS, Answer(202, {"Location": SESSION}), request_body=b"")


def mounted(content: bytes, status: int) -> Exchange:
    """Ask a repository to mount a blob of its own."""
    path = f"{UPLOADS}?mount={blob_of(content).digest}&from={NAME}"
    return Exchange("POST", path, Answer(status, {"Location": SESSION}))


def stored(content: bytes) -> Exchange:
    return Exchange("PUT", f"{SESSION}?digest={blob_of(content).digest}", Answer(201), request_body=content)


def place_all(*script: Exchange) -> contract.Totals:
    """Place the three, of which the last is there, as the script says."""
    counter = Counter()
    with (
        ScriptedRegistry(PING, *served(ONE, TWO)) as a,
        ScriptedRegistry(PING, *script, ordered=True) as b,
    ):
        placer = BlobPlacer(
            client(a.host),
            LocalBlobLocations(),
            LocalSingleFlight(KeyLocks(), 10),
            Placements(),
            nullcontext(),
            counter,
        )
        destination = client(b.host, role="destination", push=True, settings=RegistrySettings(credentials=USER))
        for content in (ONE, TWO, THREE):
            placer.place(blob_of(content), destination, lambda _: None)
    return counter.totals()


def test_a_registry_that_mounts_is_asked_once_for_each_further_blob() -> None:
    """The request that looks for a blob opens its upload, too (distribution-spec 1.1, "Mounting a blob")."""
    learned = [looked_for(ONE), opened(), stored(ONE), mounted(ONE, 201)]
    totals = place_all(*learned, mounted(TWO, 202), stored(TWO), mounted(THREE, 201))
    assert (totals.blobs_copied, totals.blobs_skipped) == (2, 1)


@pytest.mark.parametrize("status", [202, 400, 405])
def test_a_registry_that_does_not_mount_is_asked_for_each_blob_before_its_upload(status: int) -> None:
    """It would take a blob that is there once more."""
    learned = [looked_for(ONE), opened(), stored(ONE), mounted(ONE, status)]
    totals = place_all(*learned, looked_for(TWO), opened(), stored(TWO), looked_for(THREE, 200))
    assert (totals.blobs_copied, totals.blobs_skipped) == (2, 1)


def test_a_registry_that_mounts_no_longer_is_asked_as_one_that_does_not() -> None:
    learned = [looked_for(ONE), opened(), stored(ONE), mounted(ONE, 201)]
    refused = [mounted(TWO, 400), looked_for(TWO), opened(), stored(TWO)]
    totals = place_all(*learned, *refused, looked_for(THREE, 200))
    assert (totals.blobs_copied, totals.blobs_skipped) == (2, 1)
