"""Whatever a registry says: a result, or an error of this project; bounded in memory, time and requests (8.4).

The answers come over real connections, so that reading them is tried too.
"""

import contextlib
import json
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.errors import AddressForbidden, ImagePusherError, RegistryError, ResponseInvalid
from tasks.oci import media_types
from tasks.oci.document import parse_document
from tasks.oci.graph import Successors, successors
from tasks.registry.blob.session import stored_bytes, with_digest
from tasks.registry.http.addresses import forbid_inward, host_of, is_inward
from tasks.registry.http.exchange import Response
from tasks.registry.http.refusal import explain
from tasks.registry.http.retry import parse_retry_after
from tasks.registry.listing import next_page
from tasks.registry.manifest_answer import FetchedManifest
from tasks.registry.repository import Repository
from tasks.registry.settings import HttpLimits, RegistrySettings
from tests.support.images import digest_of, image
from tests.support.readers import MemoryReader
from tests.support.scripted import Answer, ImprovisingRegistry, Received
from tests.support.strategies import json_values
from tests.unit.registry.clients import USER, blob_of, client

LIMITS: Final = HttpLimits(connect_timeout=5, idle_timeout=5, tries=2, longest_wait=0, manifest_bytes=100_000)
IMAGE: Final = image()
MEDIA_TYPES: Final = (*media_types.ACCEPT, *sorted(media_types.SCHEMA1))
CONTENT: Final = b"the content of a blob"
MIB: Final = 1 << 20

# What a header can carry at all: it is read as Latin-1.
HEADERS: Final = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=60)
PARTS: Final = (
    "http://", "https://", "HTTP://", "ftp:", "//", "/", "\\", "..", "?", "&", "#", "@", ":", "[", "]", "%2f", "%", "=",
    "127.0.0.1", "127.1", "0x7f000001", "[::1]", "localhost", "registry.example", "10.0.0.1", ":80", ":65536", ":x",
    "/v2/", "a", " ", "\t", "\xe9", "<", ">", ";", '"', "rel=next", "digest=", "0", "-", ",", "Bearer ", "Basic ",
    "realm=", "service=", "scope=",
)  # fmt: skip
URLS: Final = st.lists(st.sampled_from(PARTS), max_size=12).map("".join) | HEADERS
STATUSES: Final = st.sampled_from((200, 201, 202, 204, 206, 301, 307, 400, 401, 403, 404, 405, 416, 429, 500, 503))
DIGESTS: Final = st.sampled_from(("", "nonsense", "md5:1", IMAGE.digest, digest_of(b""), digest_of(b"")[:-1])) | HEADERS


@pytest.fixture(scope="module")
def registry() -> Iterator[ImprovisingRegistry]:
    with ImprovisingRegistry() as running:
        yield running


@pytest.fixture(autouse=True, scope="module")
def elsewhere() -> Iterator[ImprovisingRegistry]:
    """Stand for every host but the registry: no name that an example makes up is looked for, and no port asked."""
    with pytest.MonkeyPatch.context() as patch, ImprovisingRegistry() as only:
        connect = socket.create_connection

        def within(address: tuple[str, int], *more: Any, **named: Any) -> Any:
            return connect(address if address[1] > 1024 else ("127.0.0.1", port_of(only)), *more, **named)

        patch.setattr(socket, "create_connection", within)
        yield only


def port_of(registry: ImprovisingRegistry) -> int:
    return int(registry.host.rpartition(":")[2])


def repository(registry: ImprovisingRegistry, answer: Callable[[Received], Answer]) -> Repository:
    """Return a client of a registry whose base is in order, and that answers all else by `answer`."""
    registry.answer = lambda received: Answer() if received.path == "/v2/" else answer(received)
    registry.received.clear()
    settings_of = RegistrySettings(credentials=USER)
    return client(registry.host, role="destination", push=True, limits=LIMITS, settings=settings_of)


def in_turn(answers: list[Answer]) -> Callable[[Received], Answer]:
    """Return what gives these answers one after the other, again and again."""
    following = cycle(answers)
    return lambda _: next(following)


def ends(act: Callable[..., object], *arguments: object) -> None:
    """Do something, which may end in an error of this project and in no other."""
    with contextlib.suppress(ImagePusherError):
        act(*arguments)


HEADERS_OF_ANSWERS: Final = st.fixed_dictionaries(
    {},
    optional={
        "Location": URLS,
        "Link": URLS.map("<{}>; rel=next".format) | URLS,
        "WWW-Authenticate": URLS,
        "Docker-Content-Digest": DIGESTS,
        "Content-Type": st.sampled_from((*MEDIA_TYPES, "text/html")) | HEADERS,
        "Content-Range": st.sampled_from(("bytes 0-1/2", "bytes 0-20/21", "bytes 5-20/*")) | HEADERS,
        "Range": st.sampled_from(("0-0", "0-20", "0-5", "bytes=0-9", "0-99999999999999999999")) | HEADERS,
        "Retry-After": st.sampled_from(("0", "99999999", "-1", "Wed, 21 Oct 2015 07:28:00 GMT")) | HEADERS,
    },
)
JSON_BODIES: Final = json_values().map(json.dumps).map(str.encode)
BODIES: Final = st.binary(max_size=40) | JSON_BODIES | st.just(CONTENT) | st.just(IMAGE.manifest)


def answers() -> st.SearchStrategy[Answer]:
    """Return answers with the headers that a client looks at, right or wrong."""
    return st.builds(Answer, STATUSES, HEADERS_OF_ANSWERS, BODIES)


@settings(max_examples=60)
@given(data=st.lists(answers(), min_size=1, max_size=4))
def test_reading_ends(data: list[Answer], registry: ImprovisingRegistry) -> None:
    blob = blob_of(CONTENT)
    for act, *arguments in (
        (Repository.resolve, "latest"),
        (Repository.resolve, IMAGE.digest),
        (Repository.fetch_manifest, "latest"),
        (Repository.tags,),
        (Repository.blob_size, blob.digest),
        (Repository.read_blob, blob, 100),
        (Repository.delete_tag, "latest"),
        (Repository.mount_blob, blob.digest, "other"),
    ):
        ends(act, repository(registry, in_turn(data)), *arguments)
        assert len(registry.received) < 100


@settings(max_examples=100)
@given(data=st.lists(answers(), min_size=1, max_size=8))
def test_an_upload_ends_and_succeeds_only_where_the_registry_said_so(
    data: list[Answer], registry: ImprovisingRegistry, elsewhere: ImprovisingRegistry
) -> None:
    """5.3: or the host that its Location names."""
    following, stored = in_turn(data), []

    def answer(received: Received) -> Answer:
        given_answer = following(received)
        committed = received.method == "PUT" and "digest=" in received.query and given_answer.status in {200, 201, 204}
        if committed or (received.method == "HEAD" and given_answer.status == 200):
            stored.append(received)
        return given_answer

    subject = repository(registry, answer)
    elsewhere.answer = answer
    elsewhere.received.clear()
    done: list[int] = []
    try:
        subject.blob_upload(blob_of(CONTENT), MemoryReader(CONTENT, 5), done.append).run()
    except ImagePusherError:
        pass
    else:
        assert stored
    assert len(registry.received) + len(elsewhere.received) < 200


@settings(max_examples=60)
@given(data=st.lists(answers(), min_size=1, max_size=6), reference=st.sampled_from(("latest", IMAGE.digest)))
def test_a_manifest_write_ends(data: list[Answer], reference: str, registry: ImprovisingRegistry) -> None:
    ends(repository(registry, in_turn(data)).push_manifest, reference, IMAGE.manifest, IMAGE.media_type)
    assert len(registry.received) < 100


MEMBERS: Final = (
    "schemaVersion",
    "mediaType",
    "manifests",
    "config",
    "layers",
    "digest",
    "size",
    "platform",
    "annotations",
)


HOLDERS: Final = st.sampled_from(("document", "config", *range(len(json.loads(IMAGE.manifest)["layers"]))))
CHANGES: Final = st.lists(
    st.tuples(HOLDERS, st.sampled_from(MEMBERS), json_values() | st.sampled_from(media_types.ACCEPT)), max_size=3
)
TWICE: Final = st.sampled_from(("", '"layers": [], ', '"mediaType": 1, ', '"config": {}, "config": null, '))
DEPTHS: Final = st.sampled_from((0, 0, 5, 40_000))
WAYS: Final = st.integers(0, 2)


@st.composite
def manifests(draw: st.DrawFn) -> bytes:
    """Draw what is nearly a manifest: members of it twice, of other types, with digests that lie, cut or nested."""
    document: dict[str, Any] = json.loads(IMAGE.manifest)
    holders: dict[str | int, Any] = {
        "document": document,
        "config": document["config"],
        **dict(enumerate(document["layers"])),
    }
    for holder, member, value in draw(CHANGES):
        holders[holder][member] = value
    content = ("{" + draw(TWICE) + json.dumps(document)[1:]).encode()
    depth = draw(DEPTHS)
    return (content, b"[" * depth + content + b"]" * depth, content[: len(content) // 2])[draw(WAYS)]


def successors_of(fetched: FetchedManifest) -> Successors:
    return successors(parse_document(fetched.content, fetched.media_type))


@settings(max_examples=100)
@given(
    content=manifests() | st.binary(max_size=100),
    content_type=HEADERS | st.sampled_from(MEDIA_TYPES),
    digest=DIGESTS,
)
@example(content=b"x" * 100_001, content_type=media_types.OCI_INDEX, digest="")
@example(content=b"{" * 50_000, content_type="", digest="")
@example(content=b'{"a":' * 20_000, content_type="", digest="")
@example(content=b"{" + b'"a":1,' * 16_000 + b'"a":1}', content_type=media_types.OCI_MANIFEST, digest="")
def test_a_manifest_is_what_its_digest_says_or_refused(
    content: bytes, content_type: str, digest: str, registry: ImprovisingRegistry
) -> None:
    """2.3, 2.4."""
    served = Answer(200, {"Content-Type": content_type, "Docker-Content-Digest": digest}, content)
    subject = repository(registry, lambda _: served)
    for reference in ("latest", digest_of(content), IMAGE.digest):
        try:
            fetched = subject.fetch_manifest(reference)
        except ImagePusherError:
            continue
        if fetched.media_type != media_types.DOCKER_SCHEMA1_SIGNED:
            assert fetched.digest == digest_of(content)
            assert reference in {"latest", fetched.digest}
        ends(successors_of, fetched)


@st.composite
def token_answers(draw: st.DrawFn) -> bytes:
    members = st.fixed_dictionaries(
        {},
        optional={
            "token": json_values() | st.just("a.b.c"),
            "access_token": json_values() | st.just("d.e.f"),
            "expires_in": json_values() | st.sampled_from((0, -1, 1, 1e308, "60", 10**400)),
        },
    )
    return draw(members.map(json.dumps).map(str.encode) | st.binary(max_size=40))


@settings(max_examples=100)
@given(answer=token_answers(), status=STATUSES | st.just(200))
@example(answer=b"[" * 60_000, status=200)
@example(answer=b'{"token": "a\\r\\nX-Injected: 1"}', status=200)
@example(answer=b'{"token": "' + b"x" * 100_000 + b'"}', status=200)
def test_what_a_realm_answers_is_a_token_or_an_error_that_does_not_show_it(
    answer: bytes, status: int, registry: ImprovisingRegistry
) -> None:
    """8.1, 6.7."""
    challenge = {"WWW-Authenticate": f'Bearer realm="{registry.url}/token"'}

    def answers_of(received: Received) -> Answer:
        if received.path == "/token":
            return Answer(status, body=answer)
        allowed = "X-Injected" not in received.headers and "Authorization" in received.headers
        return Answer(404) if allowed else Answer(401, challenge)

    said = ""
    try:
        assert repository(registry, answers_of).resolve("latest") is None
    except RegistryError as error:
        said = f"{error!r} {error}"
    assert "a.b.c" not in said
    assert "d.e.f" not in said
    assert len(registry.received) < 20


@settings(max_examples=100)
@given(header=URLS)
@example(header="Bearer " + 'realm="' * 9_000)
@example(header="," * 60_000)
def test_any_challenge_ends(header: str, registry: ImprovisingRegistry) -> None:
    """8.1."""
    subject = repository(registry, lambda _: Answer(401, {"WWW-Authenticate": header}))
    with pytest.raises(RegistryError):
        subject.resolve("latest")
    assert len(registry.received) < 20


@given(text=URLS | st.text(max_size=40), base=st.sampled_from(("http://h/v2/x", "https://h:5000/v2/x?y=z")))
def test_any_reference_is_resolved_to_a_clear_place_or_refused(text: str, base: str) -> None:
    """8.2."""
    response = Response(202, {"Location": text, "Link": f"<{text}>; rel=next"}, base, own=True)
    ways: tuple[Callable[[], str | None], ...] = (lambda: response.location, lambda: next_page(response))
    for url in ways:
        try:
            found = url()
            if found is None:
                continue
            host = host_of(found)
            forbid_inward("registry.example", found)
        except (AddressForbidden, ResponseInvalid):
            continue
        assert not is_inward(host)
        assert with_digest(found, "d").startswith(found.partition("#")[0])


@given(text=st.text(max_size=40) | HEADERS)
@example(text="9" * 10_000)
@example(text="\0")
def test_any_text_is_read_as_what_it_may_be_or_as_nothing(text: str) -> None:
    assert isinstance(is_inward(text), bool)
    stored = stored_bytes(text, 10**18)
    assert stored is None or 0 <= stored <= 10**18
    waits = parse_retry_after(text, 0.0)
    assert waits is None or waits >= 0


@given(body=st.binary(max_size=200) | json_values().map(json.dumps).map(str.encode))
def test_the_words_of_an_error_are_shown_clean_and_short(body: bytes) -> None:
    """6.7."""
    message = explain("GET", Response(400, {}, "http://h/v2/x", own=True, content=body))
    assert len(message) < 400
    assert "\n" not in message
    assert "\x1b" not in message


@pytest.mark.parametrize(
    "content",
    [
        b"[" * (4 * MIB),
        b'{"a":' * (MIB // 2),
        b"{" + b'"a":1,' * (MIB // 2) + b'"a":1}',
        b'{"manifests": [' + b"{}," * MIB + b"{}]}",
        b'{"layers": ["' + b"\\u0000" * (MIB // 2) + b'"], "config": {}}',
    ],
    ids=["arrays", "objects", "members", "entries", "escapes"],
)
def test_a_manifest_of_the_largest_size_takes_bounded_memory(content: bytes, registry: ImprovisingRegistry) -> None:
    """8.4."""
    served = Answer(200, {"Content-Type": media_types.OCI_INDEX}, content)
    subject = repository(registry, lambda _: served)
    subject._transport.limits = HttpLimits()
    tracemalloc.start()
    try:
        ends(lambda: successors_of(subject.fetch_manifest("latest")))
        assert tracemalloc.get_traced_memory()[1] < 128 * MIB
    finally:
        tracemalloc.stop()
    assert len(registry.received) == 2


@pytest.mark.parametrize("answer", [Answer(200), Answer(401), Answer(500)])
def test_a_header_without_end_is_given_up(answer: Answer, registry: ImprovisingRegistry) -> None:
    """8.4."""
    for headers in ([("X-Long", "x" * 100_000)], [(f"X-{number}", "x") for number in range(200)]):
        subject = repository(registry, in_turn([Answer(answer.status, headers)]))
        with pytest.raises(RegistryError):
            subject.resolve("latest")
