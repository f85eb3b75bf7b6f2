"""Odd answers to reads, manifests, deletes and lists (BEHAVIOUR 2.3, 5.5, 6.8, 8.3, 9.5)."""

import json
from typing import Any

import pytest

from tasks.errors import (
    AddressWrong,
    ContentMismatch,
    CopyIncomplete,
    ImagePusherError,
    NamespaceMissing,
    NotFound,
    QuotaExceeded,
    RateLimited,
    RegistryReadOnly,
    RegistryUnavailable,
    RequestRefused,
    Retry,
    TagImmutable,
)
from tasks.oci import media_types
from tasks.oci.digest import Digest, digest_of
from tasks.registry.repository import Repository
from tests.support import images
from tests.support.scripted import Answer, Exchange, ImprovisingRegistry, NoAnswer, Reply, ScriptedRegistry
from tests.unit.registry.clients import NAME, PING, client, manifest_path

IMAGE = images.image()
LATEST = manifest_path("latest")
TYPE = {"Content-Type": IMAGE.media_type}
DIGEST = {"Docker-Content-Digest": IMAGE.digest}
HTML = {"Content-Type": "text/html; charset=utf-8"}
LENGTH = {"Content-Length": str(len(IMAGE.manifest))}
SERVED = Answer(200, TYPE, IMAGE.manifest)


def said(status: int, code: str, message: str = "", **headers: str) -> Answer:
    return Answer(status, headers, json.dumps({"errors": [{"code": code, "message": message}]}).encode())


def at(registry: ScriptedRegistry) -> Repository:
    return client(registry.host, role="destination", push=True)


@pytest.mark.parametrize(
    "head",
    [
        Answer(200, TYPE | DIGEST | {"Content-Length": "0"}),
        Answer(200, TYPE | {"ETag": f'"{IMAGE.digest}"'} | LENGTH),
        Answer(200, {"Content-Type": "application/json"} | DIGEST | LENGTH),
        Answer(200, HTML | DIGEST | LENGTH),
        Answer(200, TYPE | {"Docker-Content-Digest": "sha256:short"} | LENGTH),
        Answer(200, DIGEST | LENGTH),
        Answer(405, {"Allow": "GET"}),
        Answer(501),
    ],
)
def test_a_head_that_says_too_little_is_followed_by_a_get(head: Answer) -> None:
    with ScriptedRegistry(PING, Exchange("HEAD", LATEST, head), Exchange("GET", LATEST, SERVED)) as registry:
        found = at(registry).resolve("latest")
    assert found is not None
    assert (found.digest, found.size) == (IMAGE.digest, len(IMAGE.manifest))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {"Content-Type": f"{IMAGE.media_type}; charset=utf-8"} | DIGEST, IMAGE.manifest),
        Answer(200, {"Content-Type": f"  {IMAGE.media_type.upper()} ;q=1"}, IMAGE.manifest),
        Answer(200, {"Content-Type": "application/json"}, IMAGE.manifest),
        Answer(200, {"Content-Type": "text/plain"}, IMAGE.manifest),
        Answer(200, {}, IMAGE.manifest),
        Answer(200, TYPE | {"Docker-Content-Digest": "nonsense"}, IMAGE.manifest),
        Answer(200, TYPE | {"Docker-Content-Digest": ""}, IMAGE.manifest),
        Answer(200, TYPE | {"ETag": '"other"'}, IMAGE.manifest),
        Answer(200, TYPE, IMAGE.manifest, framing="chunked"),
        Answer(200, TYPE, IMAGE.manifest, framing="close"),
    ],
)
def test_a_manifest_is_read_whatever_its_headers(answer: Answer) -> None:
    with ScriptedRegistry(PING, Exchange("GET", LATEST, answer)) as registry:
        assert at(registry).fetch_manifest("latest").content == IMAGE.manifest


def put(answer: Reply) -> Exchange:
    return Exchange("PUT", LATEST, answer, request_body=IMAGE.manifest)


@pytest.mark.parametrize(
    "script",
    [
        [put(Answer(200))],
        [put(Answer(202))],
        [put(Answer(204))],
        [put(Answer(201, {"Docker-Content-Digest": "garbage"}))],
        [put(Answer(201, {"Docker-Content-Digest": digest_of(IMAGE.manifest, "sha512")}))],
        [put(Answer(201, {"Location": "http://internal.local/x"}))],
        [put(Answer(502)), Exchange("HEAD", LATEST, Answer(200, TYPE | DIGEST | LENGTH))],
        [put(Answer(500)), Exchange("HEAD", LATEST, Answer(404)), put(Answer(201))],
        [put(NoAnswer.DROP), Exchange("HEAD", LATEST, Answer(404)), put(Answer(201))],
        [put(Answer(524)), Exchange("HEAD", LATEST, Answer(200, TYPE | DIGEST | LENGTH))],
    ],
)
def test_a_manifest_is_stored_whatever_the_answer(script: list[Exchange]) -> None:
    with ScriptedRegistry(PING, *script, ordered=True) as registry:
        at(registry).push_manifest("latest", IMAGE.manifest, IMAGE.media_type)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer(201, {"Docker-Content-Digest": "sha256:" + "1" * 64}), ContentMismatch, "which is not what was pushed"),
        (said(409, "CONFLICT", "tag v1 is immutable"), TagImmutable, "tag v1 is immutable"),
        (said(412, "PRECONDITION", "configured as immutable"), TagImmutable, "configured as immutable"),
        (said(400, "TAG_INVALID", "tag name must match the policy"), RequestRefused, "must match the policy"),
        (said(413, "SIZE_INVALID", "manifest is too large"), RequestRefused, "too large"),
        (said(403, "DENIED", "storage quota exceeded"), QuotaExceeded, "storage quota exceeded"),
        (said(404, "NAME_UNKNOWN", "project ns not found"), NamespaceMissing, "project ns not found"),
        (said(404, "MANIFEST_UNKNOWN", "child is unknown"), CopyIncomplete, "child is unknown"),
        (said(405, "DENIED", "Pushes to the registry are currently disabled"), RegistryReadOnly, "currently disabled"),
        (said(415, "MANIFEST_INVALID", "media type is not accepted"), RequestRefused, "not accepted"),
        (said(422, "MANIFEST_UNVERIFIED", "signature is missing"), RequestRefused, "signature is missing"),
        (Answer(200, HTML, b"<html><title>Sign in</title>"), AddressWrong, "Sign in"),
    ],
)
def test_a_refusal_of_a_manifest_says_what_it_means(answer: Answer, kind: type[ImagePusherError], words: str) -> None:
    with (
        ImprovisingRegistry(lambda received: answer if received.method == "PUT" else Answer()) as registry,
        pytest.raises(kind) as caught,
    ):
        at(registry).push_manifest("latest", IMAGE.manifest, IMAGE.media_type)
    assert type(caught.value) is kind
    assert words in caught.value.message
    assert caught.value.advice


LIST = f"/v2/{NAME}/tags/list"


def page(tags: Any, link: str = "") -> Answer:
    return Answer(200, {"Link": link} if link else {}, json.dumps({"name": NAME, "tags": tags}).encode())


def test_a_page_without_tags_is_not_the_last_one() -> None:
    """A registry may filter each page."""
    script = (
        Exchange("GET", f"{LIST}?n=1000", page(["a"], f"<{LIST}?last=a>; rel=next")),
        Exchange("GET", f"{LIST}?last=a", page(None, f"<{LIST}?last=b>; rel=next")),
        Exchange("GET", f"{LIST}?last=b", page(["c"])),
    )
    with ScriptedRegistry(PING, *script, ordered=True) as registry:
        assert at(registry).tags() == ["a", "c"]


@pytest.mark.parametrize(
    ("answer", "deleted"),
    [
        (Answer(200), True),
        (Answer(202), True),
        (Answer(204), True),
        (Answer(400), False),
        (Answer(405), False),
        (Answer(501), False),
        (Answer(415), False),
    ],
)
def test_a_tag_is_deleted_or_not(answer: Answer, deleted: bool) -> None:
    with ScriptedRegistry(PING, Exchange("DELETE", LATEST, answer)) as registry:
        assert at(registry).delete_tag("latest") is deleted


REFERRERS = f"/v2/{NAME}/referrers/{IMAGE.digest}"
INDEX = {"Content-Type": media_types.OCI_INDEX}


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (Answer(404), None),
        (Answer(405), None),
        (Answer(501), None),
        (Answer(404, HTML, b"<html>"), None),
        (Answer(200, HTML, b"<html>"), None),
        (Answer(200, {"Content-Type": "application/json"}, b"{}"), None),
        (Answer(200, INDEX, b'{"schemaVersion": 2, "manifests": []}'), []),
        (Answer(200, INDEX, b'{"schemaVersion": 2, "manifests": null}'), []),
        (Answer(200, INDEX, b""), None),
        (Answer(302, {"Location": "/login"}), None),
    ],
)
def test_a_list_of_referrers_is_read_or_there_is_none(answer: Answer, found: list[Any] | None) -> None:
    with ScriptedRegistry(PING, Exchange("GET", REFERRERS, answer, times=None)) as registry:
        registry.expect(*([Exchange("GET", "/login", Answer(200, HTML, b"<html>"))] if answer.status == 302 else []))
        assert client(registry.host).referrers(Digest(IMAGE.digest)) == found


@pytest.mark.parametrize(
    ("answer", "kind", "again", "pause"),
    [
        (Answer(429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), RateLimited, Retry.LATER, None),
        (Answer(429, {"Retry-After": "soon"}), RateLimited, Retry.LATER, None),
        (Answer(429, {"Retry-After": "-1"}), RateLimited, Retry.LATER, None),
        (Answer(429, {"Retry-After": "1e9"}), RateLimited, Retry.LATER, None),
        (Answer(429, {"Retry-After": "0.001"}), RateLimited, Retry.LATER, None),
        (Answer(429, {"Retry-After": "120, 120"}), RateLimited, Retry.LATER, None),
        (Answer(429, {"Retry-After": "120"}), RateLimited, Retry.LATER, 120.0),
        (Answer(429, {"Retry-After": "86400"}), RateLimited, Retry.NEVER, 3600.0),
        (Answer(429, {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}), RateLimited, Retry.NEVER, 3600.0),
        (Answer(503, {"Retry-After": "120"}), RegistryReadOnly, Retry.WAIT, 120.0),
        (Answer(503, {"Retry-After": "86400"}), RegistryReadOnly, Retry.WAIT, None),
        (Answer(503), RegistryUnavailable, Retry.LATER, None),
        (Answer(500, {"Retry-After": "120"}), RegistryUnavailable, Retry.LATER, 120.0),
        (
            Answer(403, {"Retry-After": "60"}, b'{"message": "You have exceeded a secondary rate limit."}'),
            RateLimited,
            Retry.LATER,
            60.0,
        ),
        (
            Answer(
                503,
                {"Content-Type": "application/xml"},
                b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>",
            ),
            RegistryUnavailable,
            Retry.LATER,
            None,
        ),
    ],
)
def test_a_limit_is_believed_up_to_a_bound(
    answer: Answer, kind: type[ImagePusherError], again: Retry, pause: float | None
) -> None:
    with ScriptedRegistry(PING, Exchange("GET", LATEST, answer, times=None)) as registry, pytest.raises(kind) as caught:
        client(registry.host).fetch_manifest("latest")
    error = caught.value
    assert (type(error), error.retry, error.retry_after) == (kind, again, pause)
    assert registry.host in error.message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_read_is_led_on_over_several_hosts(status: int) -> None:
    moved = Exchange("GET", "/b?sig=%2F", lambda _: Answer(status, {"Location": f"{store.url}/c"}))
    with (
        ScriptedRegistry(Exchange("GET", "/c", SERVED, request_headers={"Authorization": None})) as store,
        ScriptedRegistry(moved) as front,
        ScriptedRegistry(PING) as registry,
    ):
        registry.expect(Exchange("GET", LATEST, Answer(status, {"Location": f"{front.url}/b?sig=%2F"})))
        assert client(registry.host).fetch_manifest("latest").content == IMAGE.manifest


@pytest.mark.parametrize(
    ("store", "kind", "words"),
    [
        (
            Answer(
                404,
                {"Content-Type": "application/xml"},
                b"<Error><Code>NoSuchKey</Code><Message>The key is gone.</Message></Error>",
            ),
            NotFound,
            "NoSuchKey: The key is gone.",
        ),
        (
            Answer(
                403,
                {"Content-Type": "application/xml"},
                b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
            ),
            RequestRefused,
            "Request has expired",
        ),
        (Answer(200, HTML, b"<html><title>Sign in</title>"), AddressWrong, "web page"),
    ],
)
def test_what_a_store_says_is_quoted(store: Answer, kind: type[ImagePusherError], words: str) -> None:
    with ScriptedRegistry(Exchange("GET", "/x", store, times=None)) as other:
        moved = Exchange("GET", LATEST, Answer(307, {"Location": f"{other.url}/x?X-Sig=hidden"}), times=None)
        with ScriptedRegistry(PING, moved) as registry, pytest.raises(kind) as caught:
            client(registry.host).fetch_manifest("latest")
    assert type(caught.value) is kind
    assert words in caught.value.message
    assert "hidden" not in str(caught.value)
