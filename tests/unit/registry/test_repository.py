"""Manifests, tags and blobs of one repository (distribution-spec 1.1; BEHAVIOUR 2.4, 3.4, 8.4)."""

import base64
import hashlib
import json

import pytest
from msgspec import structs

from tasks.errors import (
    AddressWrong,
    AuthenticationRefused,
    ContentMismatch,
    CopyIncomplete,
    DestinationError,
    ManifestInvalid,
    NamespaceMissing,
    NotFound,
    RequestRefused,
    ResponseInvalid,
)
from tasks.oci import media_types
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration, RegistrySettings
from tests.support.images import image, index, layer
from tests.support.scripted import Answer, Exchange, Received, ScriptedRegistry
from tests.support.token_server import TokenServer
from tests.unit.registry.clients import NAME, PING, QUICK, USER, blob_of, blob_path, client, manifest_path

IMAGE = image()
DIGEST = Digest(IMAGE.digest)
SHA512 = f"sha512:{hashlib.sha512(IMAGE.manifest).hexdigest()}"
OTHER = f"sha256:{'0' * 64}"
LATEST = manifest_path("latest")
TYPE = {"Content-Type": IMAGE.media_type}
HEADERS = {**TYPE, "Docker-Content-Digest": DIGEST, "Content-Length": str(len(IMAGE.manifest))}
DESCRIPTOR = Descriptor(IMAGE.media_type, DIGEST, len(IMAGE.manifest))
WHOLE = Answer(200, TYPE, IMAGE.manifest)


def errors(status: int, code: str) -> Answer:
    return Answer(status, body=json.dumps({"errors": [{"code": code, "message": "no"}]}).encode())


def test_a_tag_is_resolved_by_one_head() -> None:
    """2.1."""
    with ScriptedRegistry(PING, Exchange("HEAD", LATEST, Answer(200, HEADERS))) as registry:
        assert client(registry.host).resolve("latest") == DESCRIPTOR


def test_an_absent_tag_is_none() -> None:
    """3.4: 404 means absent."""
    with ScriptedRegistry(PING, Exchange("HEAD", LATEST, Answer(404))) as registry:
        assert client(registry.host).resolve("latest") is None


@pytest.mark.parametrize(
    "head",
    [
        Answer(405),
        Answer(400),
        Answer(200, {**HEADERS, "Docker-Content-Digest": ""}),
        Answer(200, {**HEADERS, "Docker-Content-Digest": "nonsense"}),
        Answer(200, {**HEADERS, "Docker-Content-Digest": SHA512}),
        Answer(200, {**HEADERS, "Content-Type": "text/plain"}),
    ],
)
def test_a_registry_whose_head_says_too_little_is_asked_for_the_manifest(head: Answer) -> None:
    with ScriptedRegistry(PING, Exchange("HEAD", LATEST, head), Exchange("GET", LATEST, WHOLE)) as registry:
        assert client(registry.host).resolve("latest") == DESCRIPTOR
    with ScriptedRegistry(PING, Exchange("HEAD", LATEST, head), Exchange("GET", LATEST, Answer(404))) as registry:
        assert client(registry.host).resolve("latest") is None


def test_a_digest_needs_no_digest_in_the_answer() -> None:
    head = Answer(200, {**HEADERS, "Docker-Content-Digest": ""})
    with ScriptedRegistry(PING, Exchange("HEAD", manifest_path(DIGEST), head)) as registry:
        assert client(registry.host).resolve(DIGEST) == DESCRIPTOR


@pytest.mark.parametrize("content_type", [IMAGE.media_type + "; charset=utf-8", IMAGE.media_type.upper(), ""])
def test_a_content_type_counts_without_its_parameters(content_type: str) -> None:
    """Content-Type parameters are ignored."""
    bare = json.dumps({key: value for key, value in IMAGE.document.items() if key != "mediaType"}).encode()
    served = Answer(200, {"Content-Type": content_type}, bare)
    head = Answer(200, {**HEADERS, "Content-Type": IMAGE.media_type + ";charset=utf-8"})
    with ScriptedRegistry(PING, Exchange("GET", LATEST, served), Exchange("HEAD", LATEST, head)) as registry:
        repository = client(registry.host)
        assert repository.fetch_manifest("latest").media_type == IMAGE.media_type
        assert repository.resolve("latest") == DESCRIPTOR


@pytest.mark.parametrize("announced", [None, DIGEST, SHA512, "md5:1234"])
def test_a_manifest_fetched_by_tag_has_its_sha256(announced: str | None) -> None:
    """2.4, 7.2: whatever is announced, so that it can be compared with what was written."""
    served = Answer(200, {**TYPE, **({"Docker-Content-Digest": announced} if announced else {})}, IMAGE.manifest)
    with ScriptedRegistry(PING, Exchange("GET", LATEST, served)) as registry:
        fetched = client(registry.host).fetch_manifest("latest")
    assert (fetched.content, fetched.media_type, fetched.digest) == (IMAGE.manifest, IMAGE.media_type, DIGEST)


@pytest.mark.parametrize(
    ("reference", "announced"), [("latest", OTHER), ("latest", SHA512), (OTHER, DIGEST), (OTHER, ""), (SHA512, "")]
)
def test_a_manifest_that_is_not_what_was_asked_for_or_announced_is_refused(reference: str, announced: str) -> None:
    """2.4."""
    served = Answer(200, {**TYPE, "Docker-Content-Digest": announced}, IMAGE.manifest + b"\n")
    with (
        ScriptedRegistry(PING, Exchange("GET", manifest_path(reference), served)) as registry,
        pytest.raises(ContentMismatch),
    ):
        client(registry.host).fetch_manifest(reference)


def test_a_manifest_asked_for_by_digest_is_verified_by_that() -> None:
    """2.4: what the header says of another algorithm does not matter."""
    served = Answer(200, {**TYPE, "Docker-Content-Digest": SHA512}, IMAGE.manifest)
    with ScriptedRegistry(PING, Exchange("GET", manifest_path(SHA512), served)) as registry:
        assert client(registry.host).fetch_manifest(SHA512).digest == SHA512
    with ScriptedRegistry(PING, Exchange("GET", manifest_path(DIGEST), served)) as registry:
        assert client(registry.host).fetch_manifest(DIGEST).digest == DIGEST


SIGNED = {"Content-Type": media_types.DOCKER_SCHEMA1_SIGNED}


def test_a_signed_manifest_has_the_digest_of_its_payload() -> None:
    """2.3: it cannot be verified here, and is refused by its kind."""
    content = b'{"schemaVersion": 1, "fsLayers": [], "signatures": []}'
    with ScriptedRegistry(PING, Exchange("GET", manifest_path(OTHER), Answer(200, SIGNED, content))) as registry:
        fetched = client(registry.host).fetch_manifest(OTHER)
    assert (fetched.media_type, fetched.digest) == (media_types.DOCKER_SCHEMA1_SIGNED, OTHER)


@pytest.mark.parametrize("headers", [TYPE, SIGNED, {}])
@pytest.mark.parametrize("content", [IMAGE.manifest, IMAGE.manifest[:-2], b"<html>"])
def test_no_header_makes_other_bytes_a_manifest(headers: dict[str, str], content: bytes) -> None:
    """2.4: and bytes that are not those of the digest are said to be that, not to be no JSON."""
    kind: type[Exception] = ContentMismatch
    if content != IMAGE.manifest:
        kind = ManifestInvalid if headers is SIGNED else kind
        kind = AddressWrong if content == b"<html>" and not headers else kind
    served = Answer(200, headers, content)
    with ScriptedRegistry(PING, Exchange("GET", manifest_path(OTHER), served)) as registry, pytest.raises(kind):
        client(registry.host).fetch_manifest(OTHER)


@pytest.mark.parametrize(
    ("content_type", "content", "kind"),
    [
        ("text/html", b"<html>", AddressWrong),
        ("text/html; charset=utf-8", b"\n <!-- x --><!DOCTYPE html><title>Sign in</title>", AddressWrong),
        ("application/json", b"<HTML>", AddressWrong),
        ("application/json", b"plain", ManifestInvalid),
        ("text/plain", b"[]", ManifestInvalid),
    ],
)
def test_what_is_no_manifest_is_an_error_of_its_own(content_type: str, content: bytes, kind: type[Exception]) -> None:
    """2.3, 6.8: a login page says that the address is wrong, not the image."""
    served = Answer(200, {"Content-Type": content_type}, content)
    with ScriptedRegistry(PING, Exchange("GET", LATEST, served)) as registry, pytest.raises(kind):
        client(registry.host).fetch_manifest("latest")


@pytest.mark.parametrize("returned", [{}, {"Docker-Content-Digest": DIGEST}, {"Docker-Content-Digest": SHA512}])
@pytest.mark.parametrize("status", [201, 202])
def test_a_manifest_is_pushed_to_the_letter(returned: dict[str, str], status: int) -> None:
    """2.4."""
    put = Exchange("PUT", LATEST, Answer(status, returned), request_headers=TYPE, request_body=IMAGE.manifest)
    with ScriptedRegistry(PING, put) as registry:
        client(registry.host).push_manifest("latest", IMAGE.manifest, IMAGE.media_type)


def test_a_manifest_that_arrived_as_another_is_noticed() -> None:
    """2.4."""
    put = Exchange("PUT", LATEST, Answer(201, {"Docker-Content-Digest": OTHER}))
    with ScriptedRegistry(PING, put) as registry, pytest.raises(ContentMismatch):
        client(registry.host).push_manifest("latest", IMAGE.manifest, IMAGE.media_type)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (errors(400, "MANIFEST_BLOB_UNKNOWN"), CopyIncomplete),
        (errors(404, "MANIFEST_BLOB_UNKNOWN"), CopyIncomplete),
        (errors(400, "MANIFEST_UNKNOWN"), CopyIncomplete),
        (errors(404, "NAME_UNKNOWN"), NamespaceMissing),
    ],
)
def test_a_manifest_whose_parts_are_missing_is_an_incomplete_copy(answer: Answer, kind: type[Exception]) -> None:
    """5.2."""
    with ScriptedRegistry(PING, Exchange("PUT", LATEST, answer)) as registry, pytest.raises(kind):
        client(registry.host).push_manifest("latest", IMAGE.manifest, IMAGE.media_type)


@pytest.mark.parametrize("answer", [errors(400, "MANIFEST_INVALID"), Answer(400), Answer(404, body=b"{}")])
@pytest.mark.parametrize("missing", [None, *IMAGE.blobs])
def test_parts_are_looked_for_whatever_a_registry_says(answer: Answer, missing: str | None) -> None:
    """5.5: Quay says MANIFEST_INVALID of a manifest whose parts it collected, and of one that it does not like."""
    # Where the words may mean a part that came after the refusal, the manifest is offered once more.
    times = 2 if missing is None and b"MANIFEST_INVALID" in answer.body else 1
    looks = [
        Exchange("HEAD", f"/v2/{NAME}/blobs/{digest}", Answer(404 if digest == missing else 200), times=times)
        for digest in IMAGE.blobs
    ]
    kind = CopyIncomplete if missing else (NotFound if answer.status == 404 else RequestRefused)
    with (
        ScriptedRegistry(PING, Exchange("PUT", LATEST, answer, times=times), *looks) as registry,
        pytest.raises(kind, match=missing or "answered"),
    ):
        client(registry.host, push=True).push_manifest("latest", IMAGE.manifest, IMAGE.media_type)


def test_manifests_are_deleted_once_or_again() -> None:
    """6.6."""
    script = [Exchange("DELETE", manifest_path(DIGEST), Answer(status)) for status in (202, 404)]
    with ScriptedRegistry(PING, *script) as registry:
        repository = client(registry.host)
        repository.delete_manifest(DIGEST)
        repository.delete_manifest(DIGEST)


@pytest.mark.parametrize(
    ("status", "head", "deleted"), [(202, None, True), (400, None, False), (405, None, False), (404, 404, True)]
)
def test_a_tag_is_deleted_where_the_registry_can(status: int, head: int | None, *, deleted: bool) -> None:
    """6.6."""
    script = [Exchange("DELETE", LATEST, Answer(status))] + ([Exchange("HEAD", LATEST, Answer(head))] if head else [])
    with ScriptedRegistry(PING, *script) as registry:
        assert client(registry.host).delete_tag("latest") is deleted


def test_a_tag_that_is_still_there_was_not_deleted() -> None:
    """6.6."""
    script = [Exchange("DELETE", LATEST, Answer(404)), Exchange("HEAD", LATEST, Answer(200, HEADERS))]
    with ScriptedRegistry(PING, *script) as registry:
        assert client(registry.host).delete_tag("latest") is False


def test_the_size_of_a_blob_is_known_or_it_is_absent() -> None:
    """5.1: what is there is skipped."""
    content = b"content"
    script = [Exchange("HEAD", blob_path(content), Answer(status, body=content)) for status in (200, 404)]
    with ScriptedRegistry(PING, *script) as registry:
        repository = client(registry.host)
        assert repository.blob_size(blob_of(content).digest) == 7
        assert repository.blob_size(blob_of(content).digest) is None


@pytest.mark.parametrize("said", ["9" * 5000, "-1", "+7", "0x7", "7, 7"])
def test_a_length_that_no_content_has_says_nothing(said: str) -> None:
    """8.4: of a blob, and of a manifest, which is then read whole."""
    odd = Answer(200, {**HEADERS, "Content-Length": said}, close=True)
    script = [Exchange("HEAD", blob_path(b"content"), odd), Exchange("HEAD", LATEST, odd)]
    whole = Exchange("GET", LATEST, Answer(200, {"Content-Type": IMAGE.media_type}, IMAGE.manifest))
    with ScriptedRegistry(PING, *script, whole, ordered=True) as registry:
        repository = client(registry.host)
        assert repository.blob_size(blob_of(b"content").digest) == 0
        found = repository.resolve("latest")
    assert found is not None
    assert found.size == len(IMAGE.manifest)


@pytest.mark.parametrize("refused", [400, 405, 501])
@pytest.mark.parametrize(("status", "size"), [(200, 0), (206, 0), (404, None), (405, None)])
def test_a_registry_that_does_not_answer_head_is_asked_for_the_first_byte(
    refused: int, status: int, size: int | None
) -> None:
    """5.1: what it does not show is uploaded."""
    path = blob_path(b"content")
    first = Exchange("GET", path, Answer(status, body=b"c"), request_headers={"Range": "bytes=0-0"})
    with ScriptedRegistry(PING, Exchange("HEAD", path, Answer(refused)), first, ordered=True) as registry:
        assert client(registry.host).blob_size(blob_of(b"content").digest) == size


def test_a_small_blob_is_read_and_verified() -> None:
    """2.4, 8.4."""
    content = b'{"os": "linux"}'
    script = [Exchange("GET", blob_path(content), Answer(body=body)) for body in (content, content[::-1])]
    with ScriptedRegistry(PING, *script) as registry:
        repository = client(registry.host)
        assert repository.read_blob(blob_of(content), 100) == content
        with pytest.raises(ContentMismatch):
            repository.read_blob(blob_of(content), 100)
        with pytest.raises(ResponseInvalid, match="more than 14 bytes"):
            repository.read_blob(blob_of(content), 14)


def scopes_asked(*, push: bool, granted: bool) -> list[str]:
    """Return the scopes asked for when a registry hides what does not exist from those who may only pull."""
    with TokenServer({"user": "password"}) as tokens:
        challenge = {"WWW-Authenticate": f'Bearer realm="{tokens.realm}",service="{tokens.service}"'}

        def answer(_: object) -> Answer:
            may = granted and any("push" in scope for scope in tokens.scopes)
            return Answer(404) if may else Answer(401, challenge)

        script = [Exchange("GET", "/v2/", Answer(401, challenge)), Exchange("HEAD", LATEST, answer, times=None)]
        with ScriptedRegistry(*script) as registry:
            settings = RegistrySettings(credentials=USER)
            repository = client(registry.host, role="destination", push=push, settings=settings)
            if push and granted:
                assert repository.resolve("latest") is None
                assert repository.resolve("latest") is None
            else:
                with pytest.raises(AuthenticationRefused):
                    repository.resolve("latest")
        return list(dict.fromkeys(tokens.scopes))


def test_a_refused_read_of_a_destination_is_tried_with_push() -> None:
    """3.4."""
    pull, push = f"repository:{NAME}:pull", f"repository:{NAME}:pull,push"
    assert scopes_asked(push=True, granted=True) == [pull, push]
    assert scopes_asked(push=True, granted=False) == [pull, push]


def test_a_dry_run_asks_for_pull_only() -> None:
    """3.4: a token with push creates a missing repository at some registries."""
    assert scopes_asked(push=False, granted=False) == [f"repository:{NAME}:pull"]


def test_what_reads_a_repository_is_learnt_once_for_all_that_push_there() -> None:
    """3.4: but a dry run still asks for pull only."""
    with TokenServer({"user": "password"}) as tokens:
        challenge = {"WWW-Authenticate": f'Bearer realm="{tokens.realm}",service="{tokens.service}"'}

        def answer(received: Received) -> Answer:
            claims = json.loads(base64.urlsafe_b64decode(received.headers["Authorization"].split(".")[1] + "=="))
            return Answer(404) if "push" in claims["access"][0]["actions"] else Answer(401, challenge)

        script = [Exchange("GET", "/v2/", Answer(401, challenge)), Exchange("HEAD", LATEST, answer, times=None)]
        with ScriptedRegistry(*script) as registry:
            configuration = RegistryConfiguration({registry.host: RegistrySettings(credentials=USER)}, limits=QUICK)
            registries = Registries(configuration)
            for _ in range(3):
                assert registries.repository(registry.host, NAME, "destination", push=True).resolve("latest") is None
            with pytest.raises(AuthenticationRefused):
                registries.repository(registry.host, NAME, "destination").resolve("latest")
            heads = len([each for each in registry.received if each.method == "HEAD"])
        # Two refused for pull and one for push, two more of those that follow, and two of the dry run.
        assert heads == 7


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_read_is_never_taken_for_absent(status: int) -> None:
    """3.4."""
    refused = Exchange("HEAD", LATEST, Answer(status), times=None)
    with ScriptedRegistry(PING, refused) as registry, pytest.raises(AuthenticationRefused):
        client(registry.host, role="destination", push=True).resolve("latest")


def test_an_index_is_fetched_as_it_is() -> None:
    """2.4."""
    made = index([IMAGE, image("linux/arm64")], docker=True)
    served = Answer(200, {"Content-Type": made.media_type}, made.manifest)
    with ScriptedRegistry(PING, Exchange("GET", manifest_path(made.digest), served)) as registry:
        fetched = client(registry.host, limits=structs.replace(QUICK, buffer_bytes=64)).fetch_manifest(made.digest)
    assert (fetched.content, fetched.media_type) == (made.manifest, made.media_type)


def test_a_repository_shows_where_it_is() -> None:
    assert str(client("registry.example:5000")) == f"registry.example:5000/{NAME}"


def test_of_a_media_type_that_stands_twice_the_last_one_counts() -> None:
    """2.4."""
    content = b'{"mediaType":1,' + IMAGE.manifest.lstrip()[1:]
    with ScriptedRegistry(PING, Exchange("GET", LATEST, Answer(200, TYPE, content))) as registry:
        assert client(registry.host).fetch_manifest("latest").media_type == IMAGE.media_type


def test_a_manifest_that_could_not_be_read_again_is_not_written() -> None:
    small = structs.replace(QUICK, manifest_bytes=len(IMAGE.manifest) - 1)
    with ScriptedRegistry() as registry, pytest.raises(DestinationError, match="manifest_bytes"):
        client(registry.host, push=True, limits=small).push_manifest("latest", IMAGE.manifest, IMAGE.media_type)


@pytest.mark.parametrize(("most", "is_read"), [(2, True), (1, False)])
def test_an_index_of_more_entries_than_are_looked_at_is_refused(most: int, is_read: bool) -> None:
    node = index([image(f"linux/{each}", [layer(each, 10)]) for each in ("amd64", "arm64")])
    answer = Answer(200, {"Content-Type": node.media_type, "Docker-Content-Digest": node.digest}, node.manifest)
    script = (PING, Exchange("GET", f"/v2/{NAME}/manifests/1", answer))
    with ScriptedRegistry(*script) as registry:
        repository = client(registry.host, limits=structs.replace(QUICK, index_entries=most))
        if is_read:
            assert repository.fetch_manifest("1").content == node.manifest
        else:
            with pytest.raises(ManifestInvalid, match="index_entries"):
                repository.fetch_manifest("1")
