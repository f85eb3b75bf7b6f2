"""A blob on its way in survives lost connections, and is never longer than it was said to be (BEHAVIOUR 5.3, 8.4)."""

import random
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate

import pytest
from msgspec import structs

from tasks.errors import ContentMismatch, NotFound, RateLimited, RegistryUnavailable, RequestRefused, ResponseInvalid
from tasks.registry.blob.reader import BlobReader
from tasks.registry.settings import HttpLimits
from tests.support.scripted import Answer, Exchange, NoAnswer, Reply, ScriptedRegistry
from tests.unit.registry.clients import IMPATIENT, PING, QUICK, blob_of, blob_path, client

CONTENT = random.Random("blob").randbytes(100_000)
SIZE = len(CONTENT)
BLOB = blob_of(CONTENT)
PATH = blob_path(CONTENT)
SMALL = structs.replace(QUICK, buffer_bytes=4096)


def get(reply: Reply, start: int = 0) -> Exchange:
    """Return a GET that asks for the bytes from `start` on."""
    return Exchange("GET", PATH, reply, request_headers={"Range": f"bytes={start}-" if start else None})


def rest(start: int, *, said: str | None = None) -> Answer:
    return Answer(206, {"Content-Range": said or f"bytes {start}-{SIZE - 1}/{SIZE}"}, CONTENT[start:])


def cut(at: int, answer: Answer | None = None) -> Answer:
    return replace(answer or Answer(body=CONTENT), cut_after=at)


def pieces_of(reader: BlobReader) -> Iterator[bytes]:
    """Yield all that comes; each piece is good until the next."""
    return map(bytes, iter(reader.read_piece, b""))


def read(registry: ScriptedRegistry, limits: HttpLimits = QUICK) -> bytes:
    with client(registry.host, limits=limits).open_blob(BLOB) as reader:
        return b"".join(pieces_of(reader))


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_blob_is_read_in_pieces_of_the_buffers_size(framing: str) -> None:
    answer = Answer(body=CONTENT, framing=framing)  # type: ignore[arg-type]
    with (
        ScriptedRegistry(PING, get(answer)) as registry,
        client(registry.host, limits=SMALL).open_blob(BLOB) as reader,
    ):
        pieces = list(pieces_of(reader))
        assert reader.position == SIZE
    assert b"".join(pieces) == CONTENT
    assert max(map(len, pieces)) <= 4096


def test_a_blob_is_read_into_one_buffer() -> None:
    """No new memory for each piece."""
    with (
        ScriptedRegistry(PING, get(Answer(body=CONTENT))) as registry,
        client(registry.host, limits=SMALL).open_blob(BLOB) as reader,
    ):
        pieces = [piece for piece in iter(reader.read_piece, b"") if isinstance(piece, memoryview)]
        assert sum(map(len, pieces)) == SIZE
        assert {(id(piece.obj), piece.nbytes <= 4096) for piece in pieces} == {(id(pieces[0].obj), True)}


@pytest.mark.parametrize("at", [1, 4096, 50_000, SIZE - 1])
def test_a_cut_connection_is_replaced_by_one_that_goes_on(at: int) -> None:
    """5.3: Range on the way in."""
    with ScriptedRegistry(PING, get(cut(at)), get(rest(at), at)) as registry:
        assert read(registry) == CONTENT


def test_a_connection_that_is_cut_again_and_again_is_replaced_as_often() -> None:
    """5.3: tries are bounded only where no byte comes; these are more than three."""
    places = list(range(10_000, SIZE, 10_000))
    script = [get(cut(10_000))] + [get(cut(10_000, rest(at)), at) for at in places]
    script[-1] = get(rest(places[-1]), places[-1])
    with ScriptedRegistry(PING, *script, ordered=True) as registry:
        assert read(registry) == CONTENT


@pytest.mark.parametrize("reply", [NoAnswer.DROP, Answer(503), cut(0, rest(10))])
def test_tries_without_a_byte_are_bounded(reply: Reply) -> None:
    """8.3."""
    script = (PING, get(cut(10)), replace(get(reply, 10), times=QUICK.tries))
    with ScriptedRegistry(*script) as registry, pytest.raises(RegistryUnavailable, match="tries: 3"):
        read(registry)


def test_a_registry_that_ignores_range_is_read_up_to_the_place() -> None:
    """5.3: 200 in place of 206."""
    with ScriptedRegistry(PING, get(cut(50_000)), get(Answer(body=CONTENT), 50_000)) as registry:
        assert read(registry, SMALL) == CONTENT


def test_a_registry_that_ignores_range_and_is_cut_on_the_way_is_asked_again() -> None:
    """5.3."""
    script = (PING, get(cut(50_000)), get(cut(20_000), 50_000), get(rest(50_000), 50_000))
    with ScriptedRegistry(*script, ordered=True) as registry:
        assert read(registry, SMALL) == CONTENT


@pytest.mark.parametrize("said", [f"bytes 10-{SIZE - 1}/*", f"BYTES  10-{SIZE - 1}/{SIZE}"])
def test_a_content_range_may_be_written_otherwise(said: str) -> None:
    """RFC 9110, 14.4."""
    with ScriptedRegistry(PING, get(cut(10)), get(rest(10, said=said), 10)) as registry:
        assert read(registry) == CONTENT


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (f"bytes 11-{SIZE - 1}/{SIZE}", ResponseInvalid),
        (f"bytes 0-{SIZE - 1}/{SIZE}", ResponseInvalid),
        ("bytes */100000", ResponseInvalid),
        ("lines 10-20/30", ResponseInvalid),
        (f"bytes {'9' * 30}-{'9' * 30}/{SIZE}", ResponseInvalid),
        (f"bytes 10-{SIZE}/{SIZE + 1}", ContentMismatch),
    ],
)
def test_a_wrong_content_range_is_an_error(said: str, kind: type[Exception]) -> None:
    """5.3: bytes from elsewhere are never taken for those that were asked for."""
    with ScriptedRegistry(PING, get(cut(10)), get(rest(10, said=said), 10)) as registry, pytest.raises(kind):
        read(registry)


def test_a_partial_answer_without_a_content_range_is_an_error() -> None:
    """RFC 9110, 15.3.7."""
    bare = Answer(206, body=CONTENT[10:])
    with ScriptedRegistry(PING, get(cut(10)), get(bare, 10)) as registry, pytest.raises(ResponseInvalid):
        read(registry)


def test_a_range_that_the_registry_cannot_satisfy_means_a_shorter_blob() -> None:
    """5.3: 416."""
    refused = Answer(416, {"Content-Range": "bytes */10"})
    with (
        ScriptedRegistry(PING, get(cut(10)), get(refused, 10)) as registry,
        pytest.raises(ContentMismatch, match=f"no more than 10 of its {SIZE} bytes"),
    ):
        read(registry)


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", b""])
def test_a_blob_of_another_size_is_refused_before_it_is_read(content: bytes) -> None:
    """2.4."""
    with (
        ScriptedRegistry(PING, get(Answer(body=content))) as registry,
        pytest.raises(ContentMismatch, match=f"has {len(content)} bytes instead of {SIZE}"),
    ):
        client(registry.host).open_blob(BLOB)


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_a_blob_without_a_length_that_is_longer_is_noticed(framing: str) -> None:
    """2.4, 8.4: not one byte more is read than was declared and one."""
    longer = Answer(body=CONTENT + b"x" * 1_000_000, framing=framing)  # type: ignore[arg-type]
    with ScriptedRegistry(PING, get(longer)) as registry, pytest.raises(ContentMismatch, match="has more than"):
        read(registry)


def test_a_blob_without_a_length_that_is_shorter_is_asked_for_its_rest() -> None:
    """5.3: it cannot be told from one that was cut."""
    short = Answer(body=CONTENT[:10], framing="chunked")
    refused = Answer(416)
    with ScriptedRegistry(PING, get(short), get(refused, 10)) as registry, pytest.raises(ContentMismatch):
        read(registry)


def test_a_connection_that_breaks_right_after_the_last_byte_is_no_matter() -> None:
    def broken() -> Iterator[bytes]:
        yield CONTENT

    answer = Answer(body=broken(), framing="chunked", cut_after=SIZE)
    with ScriptedRegistry(PING, get(answer)) as registry:
        assert read(registry) == CONTENT


def test_a_stall_runs_into_the_timeout_and_is_resumed() -> None:
    """8.4, 5.3."""
    stalled = Answer(body=CONTENT, stall_after=30_000)
    with ScriptedRegistry(PING, get(stalled), get(rest(30_000), 30_000)) as registry:
        assert read(registry, IMPATIENT) == CONTENT


@pytest.mark.parametrize(("reply", "times"), [(NoAnswer.STALL, 2), (Answer(body=CONTENT, stall_after=0), 3)])
def test_a_registry_that_only_stalls_is_given_up(reply: Reply, times: int) -> None:
    """8.4: a connection that had begun to answer is replaced as often as one tries."""
    with (
        ScriptedRegistry(PING, replace(get(reply), times=times)) as registry,
        pytest.raises(RegistryUnavailable, match=r"sent nothing within the time allowed \(tries: 2\)"),
    ):
        read(registry, IMPATIENT)


BUSY = [
    Answer(429, {"Retry-After": "0"}),
    Answer(429, {"Retry-After": formatdate(0, usegmt=True)}),
    Answer(429),
    Answer(429, {"Content-Type": "text/html"}, b"<html><h1>Too many requests</h1></html>"),
    Answer(429, {"Retry-After": "soon"}, b'{"errors":[{"code":"TOOMANYREQUESTS"}]}'),
]


@pytest.mark.parametrize("busy", BUSY)
@pytest.mark.parametrize("start", [0, 10])
def test_a_limit_is_waited_for_at_the_start_and_in_the_middle(busy: Answer, start: int) -> None:
    """8.3: 429 in its shapes."""
    script = [get(cut(10)), get(busy, 10), get(rest(10), 10)] if start else [get(busy), get(Answer(body=CONTENT))]
    with ScriptedRegistry(PING, *script, ordered=True) as registry:
        assert read(registry) == CONTENT


@pytest.mark.parametrize("start", [0, 10])
def test_a_long_limit_is_handed_back(start: int) -> None:
    """8.3."""
    busy = get(Answer(429, {"Retry-After": "120"}), start)
    script = [get(cut(10)), busy] if start else [busy]
    with ScriptedRegistry(PING, *script) as registry, pytest.raises(RateLimited) as caught:
        read(registry)
    assert caught.value.retry_after == 120


def test_a_redirected_blob_goes_on_by_a_new_redirect() -> None:
    """8.2, 5.3: a signature may have ended; the registry signs again, and its credentials stay with it."""
    stored = [
        Exchange("GET", "/store?sig=1", cut(10), request_headers={"Authorization": None, "Range": None}),
        Exchange("GET", "/store?sig=2", rest(10), request_headers={"Authorization": None, "Range": "bytes=10-"}),
    ]
    with ScriptedRegistry(*stored, ordered=True) as storage:
        moved = [Answer(307, {"Location": f"{storage.url}/store?sig={number}"}) for number in (1, 2)]
        with ScriptedRegistry(PING, get(moved[0]), get(moved[1], 10)) as registry:
            assert read(registry) == CONTENT


@pytest.mark.parametrize(("status", "kind"), [(404, NotFound), (403, RequestRefused)])
def test_a_blob_that_cannot_be_had_is_an_error_at_once(status: int, kind: type[Exception]) -> None:
    """8.3: where a store refuses a URL, the registry is asked once for another."""
    times = 2 if status == 403 else 1
    refused = Exchange("GET", "/store", Answer(status), times=times)
    with ScriptedRegistry(refused) as storage:
        moved = replace(get(Answer(307, {"Location": f"{storage.url}/store"})), times=times)
        with ScriptedRegistry(PING, moved) as registry, pytest.raises(kind):
            read(registry)


def test_a_reader_may_go_on_anywhere() -> None:
    script = (PING, get(Answer(body=CONTENT)), get(rest(10), 10), get(Answer(body=CONTENT)))
    with (
        ScriptedRegistry(*script, ordered=True) as registry,
        client(registry.host, limits=SMALL).open_blob(BLOB) as reader,
    ):
        reader.read_piece()
        reader.reopen(reader.position)
        reader.read_piece()
        for start in (10, 0):
            reader.reopen(start)
            assert b"".join(pieces_of(reader)) == CONTENT[start:]


def test_a_blob_of_no_bytes_is_read() -> None:
    with (
        ScriptedRegistry(PING, Exchange("GET", blob_path(b""), Answer())) as registry,
        client(registry.host).open_blob(blob_of(b"")) as reader,
    ):
        assert reader.read_piece() == b""


def test_a_length_that_no_content_has_says_nothing() -> None:
    """8.4: the content itself tells where it ends."""
    odd = Answer(200, {"Content-Length": "9" * 5000}, CONTENT, close=True)
    with ScriptedRegistry(PING, get(odd)) as registry:
        assert read(registry) == CONTENT
