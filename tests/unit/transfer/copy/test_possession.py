"""What a source must show before a blob is mounted that somebody else brought to the destination's registry.

A is the source `team/app`. B holds the blob in `secret/app`, a repository of somebody else, and is asked for it in
`public/app`.
"""

import random
import re
from collections.abc import Callable

import pytest

from tasks import contract
from tasks.coordination.local.in_process import KeyLocks, LocalBlobLocations, LocalSingleFlight
from tasks.errors import ImagePusherError, SourceChildMissing
from tasks.oci.descriptor import Descriptor
from tasks.registry.settings import RegistrySettings
from tasks.transfer.copy.blobs import BlobPlacer
from tasks.transfer.copy.fair_bound import Turns
from tasks.transfer.copy.placements import Placements
from tasks.transfer.copy.possession import PART_BYTES, WHOLE_BYTES
from tasks.transfer.copy.totals import Counter
from tasks.transfer.copy.width import Width
from tasks.transfer.ports import BlobSharing
from tests.support.scripted import Answer, Exchange, Received, ScriptedRegistry
from tests.unit.registry.clients import NAME, PING, USER, blob_of, client

SECRET, PUBLIC = "secret/app", "public/app"
BIG = random.Random("big").randbytes(200_000)
OTHER = random.Random("other").randbytes(200_000)
SMALL = random.Random("small").randbytes(WHOLE_BYTES)
ZEROS = bytes(200_000)
UPLOADS = f"/v2/{PUBLIC}/blobs/uploads/"
SESSION = f"{UPLOADS}1"


def path_of(content: bytes, repository: str = NAME) -> str:
    return f"/v2/{repository}/blobs/{blob_of(content).digest}"


def part_of(content: bytes, *, total: str | None = None) -> Callable[[Received], Answer]:
    """Return what answers a request for a part with this content's bytes, and notes where they are."""

    def answer(received: Received) -> Answer:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", received.headers["Range"])
        assert found is not None
        first, last = int(found[1]), int(found[2])
        assert last - first + 1 == PART_BYTES
        said = f"bytes {first}-{last}/{total or len(content)}"
        return Answer(206, {"Content-Range": said}, content[first : last + 1])

    return answer


def asked_part(content: bytes, shown: Callable[[Received], Answer] | Answer, repository: str = NAME) -> Exchange:
    return Exchange("GET", path_of(content, repository), shown)


def mounted(content: bytes) -> Exchange:
    return Exchange("POST", f"{UPLOADS}?mount={blob_of(content).digest}&from={SECRET}", Answer(201))


def uploaded(content: bytes) -> list[Exchange]:
    def check(received: Received) -> None:
        assert received.query == "", "this is a mount"

    digest = blob_of(content).digest
    itself = Exchange("POST", f"{UPLOADS}?mount={digest}&from={PUBLIC}", Answer(405))
    opened = Exchange("POST", UPLOADS, Answer(202, {"Location": SESSION}), check=check)
    return [opened, Exchange("PUT", f"{SESSION}?digest={digest}", Answer(201), request_body=None), itself]


def place(
    blob: Descriptor,
    at_a: list[Exchange],
    at_b: list[Exchange],
    *,
    known_at: str = SECRET,
    read_before: bool = False,
) -> contract.Totals:
    """Bring a blob into B's public repository, both registries as they are scripted, and return what was done.

    If it was `read_before`, another repository of A delivered it.
    """
    with (
        ScriptedRegistry(PING, *at_a, ordered=True) if at_a else ScriptedRegistry() as a,
        ScriptedRegistry(PING, *at_b, ordered=True) if at_b else ScriptedRegistry() as b,
    ):
        locations, placements, counter = LocalBlobLocations(), Placements(), Counter()
        locations.add(b.host, blob.digest, known_at)
        if read_before:
            placements.add_read(blob, client(a.host).beside("team/base"))
        flights = LocalSingleFlight(KeyLocks(), 10)
        placer = BlobPlacer(client(a.host), BlobSharing(locations, flights), placements, Turns(Width(1, 1)), counter)
        settings = RegistrySettings(credentials=USER)
        destination = client(b.host, role="destination", push=True, settings=settings).beside(PUBLIC)
        # What was asked for beside the script fails the test, whether the blob could be placed or not.
        failed: ImagePusherError | None = None
        try:
            placer.place(blob, destination, lambda _: None)
        except ImagePusherError as error:
            failed = error
    if failed is not None:
        raise failed
    return counter.totals()


def test_a_source_that_shows_the_part_that_it_is_asked_for_has_its_blob_mounted() -> None:
    """Rule 5.1: by one request to each registry beside the mount."""
    at_b = [asked_part(BIG, part_of(BIG), SECRET), mounted(BIG)]
    totals = place(blob_of(BIG), [asked_part(BIG, part_of(BIG))], at_b)
    assert (totals.blobs_mounted, totals.blobs_copied) == (1, 0)


def test_a_small_blob_is_read_whole_and_asked_for_at_the_source_alone() -> None:
    """Rule 5.1."""
    whole = Exchange("GET", path_of(SMALL), Answer(body=SMALL))
    assert place(blob_of(SMALL), [whole], [mounted(SMALL)]).blobs_mounted == 1


def test_a_source_that_only_says_that_it_holds_a_big_blob_has_it_mounted_from_nowhere() -> None:
    """Rule 5.1: it knows digest and size, and shows bytes of its own."""
    gone = Exchange("GET", path_of(BIG), Answer(404, body=b"{}"))
    with pytest.raises(SourceChildMissing):
        place(blob_of(BIG), [asked_part(BIG, part_of(OTHER)), gone], [asked_part(BIG, part_of(BIG), SECRET)])


@pytest.mark.parametrize("shown", [bytes(WHOLE_BYTES), SMALL[:-1] + b"\0", SMALL[:-1]], ids=["zeros", "one", "short"])
def test_a_source_that_only_says_that_it_holds_a_small_blob_has_it_mounted_from_nowhere(shown: bytes) -> None:
    """Rule 5.1: it shows other bytes, and then none."""
    shows = Exchange("GET", path_of(SMALL), Answer(body=shown))
    gone = Exchange("GET", path_of(SMALL), Answer(404, body=b"{}"))
    with pytest.raises(SourceChildMissing):
        place(blob_of(SMALL), [shows, gone], [])


def test_a_repository_of_the_source_s_name_is_another_one_at_another_registry() -> None:
    """Rule 5.1: that it is the source's own, and needs no proof, is so at the source's own registry alone."""
    gone = Exchange("GET", path_of(BIG), Answer(404, body=b"{}"), times=2)
    with pytest.raises(SourceChildMissing):
        place(blob_of(BIG), [gone], [], known_at=NAME)


@pytest.mark.parametrize(
    "shown",
    [
        Answer(body=BIG),
        Answer(200, body=BIG[:PART_BYTES]),
        Answer(206, {"Content-Range": f"bytes 0-{PART_BYTES - 1}/{len(BIG)}"}, BIG[:PART_BYTES]),
        Answer(206, body=BIG[:PART_BYTES]),
        Answer(416),
        Answer(405),
        part_of(BIG, total="7"),
    ],
    ids=["whole", "start", "another part", "no range", "not satisfiable", "not allowed", "of another size"],
)
def test_a_source_that_shows_no_part_delivers_the_bytes(shown: Callable[[Received], Answer] | Answer) -> None:
    """Rule 5.1: a registry need not know ranges; no other repository is asked for its part then."""
    whole = Exchange("GET", path_of(BIG), Answer(body=BIG), request_headers={"Range": None})
    totals = place(blob_of(BIG), [asked_part(BIG, shown), whole], uploaded(BIG))
    assert (totals.blobs_mounted, totals.blobs_copied) == (0, 1)


def test_where_the_other_repository_shows_no_part_the_bytes_are_copied() -> None:
    """Rule 5.1."""
    whole = Exchange("GET", path_of(BIG), Answer(body=BIG))
    silent = asked_part(BIG, Answer(body=BIG), SECRET)
    totals = place(blob_of(BIG), [asked_part(BIG, part_of(BIG)), whole], [silent, *uploaded(BIG)])
    assert (totals.blobs_mounted, totals.blobs_copied) == (0, 1)


def test_a_part_that_anybody_guesses_proves_nothing() -> None:
    """Rule 5.1."""
    whole = Exchange("GET", path_of(ZEROS), Answer(body=ZEROS))
    totals = place(blob_of(ZEROS), [asked_part(ZEROS, part_of(ZEROS)), whole], uploaded(ZEROS))
    assert (totals.blobs_mounted, totals.blobs_copied) == (0, 1)


def test_a_registry_that_delivered_the_blob_is_believed_what_it_says_of_its_other_repositories() -> None:
    """Rule 5.1: images of one base cost no request at the destination but the mount."""
    says = Exchange("HEAD", path_of(BIG), Answer(200, {"Content-Length": str(len(BIG))}))
    assert place(blob_of(BIG), [says], [mounted(BIG)], read_before=True).blobs_mounted == 1
