"""One blob on its way out: mount, POST and PUT, or PATCH; never again from the start where it need not (BEHAVIOUR 5.3).

The forms of an upload, request by request: what the script does not name fails the test.
"""

from dataclasses import replace
from email.utils import formatdate
from itertools import pairwise
from typing import Literal

import pytest
from msgspec import structs

from tasks.errors import (
    AddressForbidden,
    AuthenticationRefused,
    ContentMismatch,
    NotFound,
    PushCancelled,
    RateLimited,
    RegistryUnavailable,
    RequestRefused,
    ResponseInvalid,
)
from tasks.registry.settings import RegistrySettings
from tests.support.readers import MemoryReader
from tests.support.scripted import Answer, Exchange, NoAnswer, Reply, ScriptedRegistry
from tests.support.token_server import TokenServer
from tests.unit.registry.blob.uploads import (
    AGAIN,
    BIG,
    CANCEL,
    POST,
    POST_AGAIN,
    SMALL,
    Upload,
    errors,
    patching,
    status,
    taken,
)
from tests.unit.registry.clients import (
    IMPATIENT,
    PING,
    QUICK,
    SESSION,
    UPLOADS,
    USER,
    client,
)


def test_a_blob_takes_one_post_and_one_put() -> None:
    with ScriptedRegistry(PING, POST, SMALL.put(), ordered=True) as registry:
        assert SMALL.push(registry) == [50_000, 100_000, 150_000, 200_000]


def test_an_empty_blob_is_stored() -> None:
    """5.3."""
    empty = Upload(b"")
    with ScriptedRegistry(PING, POST, empty.put(), ordered=True) as registry:
        empty.push(registry)


SIGNED = "_state=a%2fB%7e+c%20==&sig=[x]|~"


@pytest.mark.parametrize(
    ("location", "session"),
    [
        (f"{SESSION}?{SIGNED}", f"{SESSION}?{SIGNED}"),
        (f"{{url}}{SESSION}?{SIGNED}", f"{SESSION}?{SIGNED}"),
        (f"{{url}}{SESSION}", SESSION),
        ("1?a=b", f"{UPLOADS}1?a=b"),
        ("/elsewhere/%2e%2e/x", "/elsewhere/%2e%2e/x"),
    ],
)
def test_a_location_is_kept_to_the_letter(location: str, session: str) -> None:
    """The digest is added as text; what is signed stays as it was signed."""
    with ScriptedRegistry(PING, ordered=True) as registry:
        opened = Answer(202, {"Location": location.format(url=registry.url)})
        registry.expect(replace(POST, answer=opened), SMALL.put(session=session))
        SMALL.push(registry)


def test_a_session_on_another_host_is_shown_no_credentials() -> None:
    """8.2."""
    elsewhere_put = replace(SMALL.put(session="/x"), request_headers={"Authorization": None})
    with ScriptedRegistry(elsewhere_put) as elsewhere:
        challenge = Exchange("GET", "/v2/", Answer(401, {"WWW-Authenticate": 'Basic realm="r"'}))
        opened = replace(POST, answer=Answer(202, {"Location": f"{elsewhere.url}/x"}))
        with ScriptedRegistry(challenge, opened) as registry:
            SMALL.push(registry, settings=RegistrySettings(credentials=USER))
            assert registry.received[-1].headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize("location", ["http://user:word@127.0.0.1/x", "ftp://127.0.0.1/x", "http://[", "http://h\\o/x"])
def test_a_location_that_is_no_place_is_refused(location: str) -> None:
    """8.2."""
    opened = replace(POST, answer=Answer(202, {"Location": location}))
    with ScriptedRegistry(PING, opened) as registry, pytest.raises((AddressForbidden, ResponseInvalid)):
        SMALL.push(registry)


def test_a_session_without_a_location_is_none() -> None:
    with ScriptedRegistry(PING, replace(POST, answer=Answer(202))) as registry, pytest.raises(ResponseInvalid):
        SMALL.push(registry)


@pytest.mark.parametrize("stored", [0, 1_000, 550_000])
def test_an_interrupted_upload_goes_on_where_the_registry_stands(stored: int) -> None:
    """5.3: its status says where, and by which Location."""
    again = f"{SESSION}?_state=2"
    script = (PING, POST, BIG.lost(), status(stored, again), BIG.put(start=stored, session=again))
    with ScriptedRegistry(*script, ordered=True) as registry:
        done = BIG.push(registry)
    again_from = next(later for earlier, later in pairwise(done) if later <= earlier)
    assert (again_from, done[-1]) == (stored // 50_000 * 50_000 + 50_000, BIG.size)


def test_a_registry_that_has_all_of_an_upload_is_only_told_to_commit() -> None:
    """5.3."""
    script = (PING, POST, SMALL.put(NoAnswer.DROP), SMALL.absent(), status(SMALL.size), SMALL.put(start=SMALL.size))
    with ScriptedRegistry(*script, ordered=True) as registry:
        SMALL.push(registry)


@pytest.mark.parametrize(
    "said",
    [
        Answer(404),
        Answer(400),
        Answer(416),
        Answer(204),
        Answer(204, {"Range": "0-99999999"}),
        Answer(204, {"Range": "10-20"}),
        Answer(204, {"Range": "nonsense"}),
        Answer(204, {"Range": f"0-{'9' * 40}"}),
    ],
)
def test_a_session_that_is_gone_or_says_nothing_is_replaced(said: Answer) -> None:
    """5.3: the upload starts again, and leaves no session behind."""
    cancelled = [] if said.status == 404 else [CANCEL]
    script = (PING, POST, BIG.lost(), Exchange("GET", SESSION, said), *cancelled, POST_AGAIN, BIG.put(session=AGAIN))
    with ScriptedRegistry(*script, ordered=True) as registry:
        BIG.push(registry)


@pytest.mark.parametrize("gone", [404, 416])
def test_a_session_that_vanishes_under_the_commit_is_replaced(gone: int) -> None:
    """5.3."""
    cancelled = replace(CANCEL, answer=Answer(404))
    script = (PING, POST, SMALL.put(Answer(gone)), cancelled, POST_AGAIN, SMALL.put(session=AGAIN))
    with ScriptedRegistry(*script, ordered=True) as registry:
        SMALL.push(registry)


LOST_COMMITS: list[Reply] = [NoAnswer.DROP, NoAnswer.STALL, *(Answer(status) for status in (408, 500, 502, 503, 504))]


@pytest.mark.parametrize("reply", LOST_COMMITS)
def test_a_commit_whose_answer_was_lost_is_looked_for_before_it_is_repeated(reply: Reply) -> None:
    """A commit that times out, and was stored."""
    with ScriptedRegistry(PING, POST, SMALL.put(reply), SMALL.present(), ordered=True) as registry:
        SMALL.push(registry, IMPATIENT)


@pytest.mark.parametrize("reply", LOST_COMMITS)
def test_a_commit_that_was_not_stored_goes_on(reply: Reply) -> None:
    """5.3."""
    script = (PING, POST, SMALL.put(reply), SMALL.absent(), status(None), POST_AGAIN, SMALL.put(session=AGAIN))
    with ScriptedRegistry(*script, ordered=True) as registry:
        SMALL.push(registry, IMPATIENT)


def test_a_fragment_of_a_location_does_not_swallow_the_digest() -> None:
    """5.3."""
    named = Exchange("POST", UPLOADS, Answer(202, {"Location": f"{SESSION}?_state=x#part"}))
    with ScriptedRegistry(PING, named, SMALL.put(session=f"{SESSION}?_state=x"), ordered=True) as registry:
        SMALL.push(registry)


@pytest.mark.parametrize("refused", [405, 501])
def test_a_commit_that_cannot_be_looked_for_goes_on(refused: int) -> None:
    """5.3."""
    looked = Exchange("HEAD", SMALL.path, Answer(refused))
    script = (PING, POST, SMALL.put(Answer(503)), looked, status(None), POST_AGAIN, SMALL.put(session=AGAIN))
    with ScriptedRegistry(*script, ordered=True) as registry:
        SMALL.push(registry)


@pytest.mark.parametrize("refused", [400, 405, 411, 415, 501])
def test_a_registry_that_takes_no_single_put_gets_a_patch(refused: int) -> None:
    """One streamed PATCH and an empty PUT; the next blob goes that way at once."""
    signed = f"{AGAIN}?_state=x"
    taken = Answer(202, {"Location": signed, "Range": f"0-{SMALL.size - 1}"})
    ladder = [POST_AGAIN, SMALL.patch(taken, session=AGAIN), SMALL.put(start=SMALL.size, session=signed)]
    with ScriptedRegistry(PING, POST, SMALL.put(Answer(refused)), CANCEL, *ladder, *ladder, ordered=True) as registry:
        destination = client(registry.host, role="destination")
        for _ in range(2):
            destination.blob_upload(SMALL.blob, MemoryReader(SMALL.content), lambda _: None).run()


def test_a_patch_that_is_cut_goes_on_where_the_registry_stands() -> None:
    """5.3."""
    script = patching(
        BIG,
        BIG.patch(NoAnswer.DROP, read=600_000),
        status(300_000),
        BIG.patch(taken(BIG), 300_000),
        BIG.put(start=BIG.size),
        BIG.present(),
    )
    with ScriptedRegistry(*script, ordered=True) as registry:
        BIG.push(registry)


def test_a_patch_of_which_only_a_part_was_kept_goes_on_there() -> None:
    """5.3: the returned Range counts, not what was sent."""
    script = patching(
        SMALL,
        SMALL.patch(taken(SMALL, 70_000)),
        status(70_000),
        SMALL.patch(taken(SMALL), 70_000),
        SMALL.put(start=SMALL.size),
        SMALL.present(),
    )
    with ScriptedRegistry(*script, ordered=True) as registry:
        SMALL.push(registry)


@pytest.mark.parametrize("refused", [400, 404, 416])
@pytest.mark.parametrize("stored", [0, 70_000, None])
def test_a_patch_that_is_refused_once_goes_on_where_the_registry_stands(refused: int, stored: int | None) -> None:
    """5.3: or in a new session, in the same form."""
    opened, again = [status(stored), *([POST] if stored is None else [])], stored or 0
    script = patching(
        SMALL,
        SMALL.patch(Answer(refused)),
        *opened,
        SMALL.patch(taken(SMALL), again),
        SMALL.put(start=SMALL.size),
        *([SMALL.present()] if again else []),
    )
    with ScriptedRegistry(*script, ordered=True) as registry:
        SMALL.push(registry)


def test_a_patch_whose_answer_was_lost_needs_no_second_one() -> None:
    """5.3."""
    script = patching(SMALL, SMALL.patch(NoAnswer.DROP), status(SMALL.size), SMALL.put(start=SMALL.size))
    with ScriptedRegistry(*script, ordered=True) as registry:
        SMALL.push(registry)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (errors(400, "DIGEST_INVALID"), ContentMismatch),
        (errors(400, "SIZE_INVALID"), RequestRefused),
        (Answer(413), RequestRefused),
    ],
)
def test_a_registry_that_takes_neither_ends_in_its_own_words(answer: Answer, kind: type[Exception]) -> None:
    """8.3: bad content is not retried."""
    ended = [] if answer.status == 400 else [CANCEL]
    script = patching(SMALL, SMALL.patch(taken(SMALL)), SMALL.put(answer, SMALL.size), *ended)
    with ScriptedRegistry(*script, ordered=True) as registry, pytest.raises(kind):
        SMALL.push(registry)


@pytest.mark.parametrize(
    ("refused", "kind"),
    [(403, AuthenticationRefused), (404, NotFound), (400, RequestRefused), (405, RequestRefused)],
)
def test_an_upload_that_may_not_start_is_an_error_at_once(refused: int, kind: type[Exception]) -> None:
    """8.3."""
    with ScriptedRegistry(PING, replace(POST, answer=Answer(refused))) as registry, pytest.raises(kind):
        SMALL.push(registry)


BUSY = [
    Answer(429, {"Retry-After": "0"}),
    Answer(429, {"Retry-After": formatdate(0, usegmt=True)}),
    Answer(429),
    Answer(429, {"Content-Type": "text/html"}, b"<html>Too many requests</html>"),
]


@pytest.mark.parametrize("busy", BUSY)
def test_a_limit_is_waited_for(busy: Answer) -> None:
    """8.3: 429 in its shapes, on the POST, on the PUT before its body is taken in, and on the status."""
    asked = Exchange("GET", SESSION, busy)
    script = (PING, replace(POST, answer=busy), POST, SMALL.put(busy, read=0), asked, status(0), SMALL.put())
    with ScriptedRegistry(*script) as registry:
        SMALL.push(registry, structs.replace(QUICK, tries=5))


@pytest.mark.parametrize("where", ["POST", "PUT"])
def test_a_long_limit_is_handed_back(where: str) -> None:
    """8.3."""
    busy = Answer(429, {"Retry-After": "99"})
    script = (PING, replace(POST, answer=busy)) if where == "POST" else (PING, POST, SMALL.put(busy))
    with ScriptedRegistry(*script, ordered=True) as registry, pytest.raises(RateLimited) as caught:
        SMALL.push(registry)
    assert caught.value.retry_after == 99


def test_tries_are_bounded() -> None:
    """8.3."""
    again = [SMALL.absent(), status(0), SMALL.put(Answer(503))]
    script = (PING, POST, SMALL.put(Answer(503)), *again, *again)
    with ScriptedRegistry(*script, ordered=True) as registry, pytest.raises(RegistryUnavailable, match="tries: 3"):
        SMALL.push(registry)


def test_a_registry_that_takes_nothing_runs_into_the_timeout() -> None:
    """8.4: its socket is full."""
    script = (PING, POST, BIG.put(NoAnswer.STALL, read=0), status(0), BIG.put(NoAnswer.STALL, read=0), CANCEL)
    with (
        ScriptedRegistry(*script, ordered=True) as registry,
        pytest.raises(RegistryUnavailable, match="within the time allowed"),
    ):
        BIG.push(registry, IMPATIENT)


@pytest.mark.parametrize("read", [0, 131_072])
def test_a_token_that_ends_in_the_middle_of_an_upload_is_renewed(read: int) -> None:
    """8.1: a refusal is no doubt whether the blob was stored."""
    with TokenServer({"user": "password"}) as tokens:
        refused = Answer(401, {"WWW-Authenticate": f'Bearer realm="{tokens.realm}",service="{tokens.service}"'})
        opened = (Exchange("GET", "/v2/", refused), POST)
        script = (*opened, SMALL.put(refused, read=read), status(read), SMALL.put(start=read))
        with ScriptedRegistry(*script, ordered=True) as registry:
            SMALL.push(registry, settings=RegistrySettings(credentials=USER))
            used = [each.headers["Authorization"] for each in registry.received[1:]]
        assert used[0] == used[1] != used[2] == used[3]
        assert len(tokens.asked) == 2


def test_an_upload_that_is_never_let_in_ends() -> None:
    """8.1."""
    with TokenServer({"user": "password"}) as tokens:
        refused = Answer(401, {"WWW-Authenticate": f'Bearer realm="{tokens.realm}",service="{tokens.service}"'})
        again = [status(0), SMALL.put(refused)]
        script = (Exchange("GET", "/v2/", refused), POST, SMALL.put(refused), *again, *again)
        with ScriptedRegistry(*script, ordered=True) as registry, pytest.raises(AuthenticationRefused):
            SMALL.push(registry, settings=RegistrySettings(credentials=USER))


def flipped(place: int) -> bytes:
    content = bytearray(SMALL.content)
    content[place] ^= 1
    return bytes(content)


@pytest.mark.parametrize("place", [0, 100_000, 199_999])
def test_other_content_is_never_committed(place: int) -> None:
    """5.3: one byte is flipped; the registry gets less than it was promised, and nobody tries again."""
    script = (PING, POST, Exchange("PUT", SMALL.commit(), NoAnswer.DROP), CANCEL)
    with ScriptedRegistry(*script) as registry, pytest.raises(ContentMismatch):
        SMALL.push(registry, source=MemoryReader(flipped(place)))
    assert registry.received[-2].body_size < SMALL.size


@pytest.mark.parametrize("framing", ["chunked", "close"])
@pytest.mark.parametrize("content", [SMALL.content + b"x", SMALL.content[:-1]])
def test_a_blob_that_is_longer_or_shorter_than_it_was_said_to_be_is_never_committed(
    content: bytes, framing: Literal["chunked", "close"]
) -> None:
    """5.3."""
    served = [Exchange("GET", SMALL.path, Answer(body=content, framing=framing))]
    served += [Exchange("GET", SMALL.path, Answer(416))] if len(content) < SMALL.size else []
    with (
        ScriptedRegistry(PING, *served) as source,
        ScriptedRegistry(PING, POST, Exchange("PUT", SMALL.commit(), NoAnswer.DROP), CANCEL) as registry,
        client(source.host).open_blob(SMALL.blob) as reader,
        pytest.raises(ContentMismatch),
    ):
        SMALL.push(registry, source=reader)
    assert registry.received[-2].body_size < SMALL.size


def test_a_source_that_is_cut_goes_on_within_the_same_upload() -> None:
    """5.3."""
    cut = Exchange("GET", SMALL.path, Answer(body=SMALL.content, cut_after=30_000))
    span = {"Content-Range": f"bytes 30000-{SMALL.size - 1}/{SMALL.size}"}
    with (
        ScriptedRegistry(PING, cut, Exchange("GET", SMALL.path, Answer(206, span, SMALL.content[30_000:]))) as source,
        ScriptedRegistry(PING, POST, SMALL.put(), ordered=True) as registry,
        client(source.host).open_blob(SMALL.blob) as reader,
    ):
        SMALL.push(registry, source=reader)


def test_a_source_that_stays_away_ends_the_upload_and_is_said_to_be_it() -> None:
    """8.3: the destination is not asked again for what the source cannot give."""
    cut = Exchange("GET", SMALL.path, Answer(body=SMALL.content, cut_after=30_000))
    with (
        ScriptedRegistry(PING, cut, Exchange("GET", SMALL.path, Answer(503), times=3)) as source,
        ScriptedRegistry(PING, POST, Exchange("PUT", SMALL.commit(), NoAnswer.DROP), CANCEL) as registry,
        client(source.host).open_blob(SMALL.blob) as reader,
        pytest.raises(RegistryUnavailable, match=f"GET {source.host}{SMALL.path} answered 503"),
    ):
        SMALL.push(registry, source=reader)


def test_both_ends_may_be_cut() -> None:
    """5.3: the source is asked again for what the destination lacks, and what is hashed again before it."""
    whole = Exchange("GET", BIG.path, Answer(body=BIG.content), times=2)
    with (
        ScriptedRegistry(PING, whole) as source,
        ScriptedRegistry(PING, POST, BIG.lost(), status(400_000), BIG.put(start=400_000), ordered=True) as registry,
        client(source.host).open_blob(BIG.blob) as reader,
    ):
        BIG.push(registry, source=reader)


def test_an_upload_stops_where_its_progress_says_so() -> None:
    """7.4: and is not tried again."""

    def stop(done: int) -> None:
        if done >= 150_000:
            raise PushCancelled("The worker is shutting down.")

    script = (PING, POST, Exchange("PUT", SMALL.commit(), NoAnswer.DROP), CANCEL)
    with ScriptedRegistry(*script) as registry, pytest.raises(PushCancelled):
        client(registry.host, role="destination").blob_upload(SMALL.blob, MemoryReader(SMALL.content), stop).run()
    # The session is cancelled on another connection: which of the two requests is noted first is the server's affair.
    assert [each.body_size for each in registry.received if each.method == "PUT"] == [100_000]
