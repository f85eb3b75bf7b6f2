"""Odd answers to uploads: each ends with the blob stored, or in an error that says why (BEHAVIOUR 5.3, 5.6, 6.8)."""

import json
from dataclasses import replace

import pytest
from msgspec import structs

from tasks.errors import (
    AddressWrong,
    AuthenticationRefused,
    ContentMismatch,
    ImagePusherError,
    NamespaceMissing,
    QuotaExceeded,
    RegistryReadOnly,
    RequestRefused,
    ResponseInvalid,
)
from tests.support.readers import MemoryReader
from tests.support.scripted import Answer, Exchange, NoAnswer, ScriptedRegistry
from tests.unit.registry.blob.uploads import (
    AGAIN,
    CANCEL,
    POST,
    POST_AGAIN,
    SMALL,
    patching,
    status,
    taken,
)
from tests.unit.registry.clients import IMPATIENT, PING, SESSION, UPLOADS, client

OTHER = {"Docker-Content-Digest": "sha256:" + "0" * 64}
PAGE = {"Content-Type": "text/html"}


def said(status_code: int, code: str, message: str = "", **headers: str) -> Answer:
    return Answer(status_code, headers, json.dumps({"errors": [{"code": code, "message": message}]}).encode())


def session_at(location: str) -> Exchange:
    return replace(POST, answer=Answer(202, {"Location": location}))


def cancel(session: str = SESSION) -> Exchange:
    return Exchange("DELETE", session, Answer(204))


COMMIT = SMALL.put(start=SMALL.size)

STORED = [
    # The Location.
    ("relative to the path", [PING, session_at("1"), SMALL.put()]),
    ("with an empty query", [PING, session_at(f"{SESSION}?"), SMALL.put(session=f"{SESSION}?")]),
    ("with the digest of another", [PING, session_at(f"{SESSION}?a=b&c"), SMALL.put(session=f"{SESSION}?a=b&c")]),
    # The commit.
    ("200", [PING, POST, SMALL.put(Answer(200))]),
    ("204", [PING, POST, SMALL.put(Answer(204))]),
    ("201 of another, stored", [PING, POST, SMALL.put(Answer(201, OTHER)), SMALL.present()]),
    ("201 with a body", [PING, POST, SMALL.put(Answer(201, body=b"{}"))]),
    ("202, stored soon", [PING, POST, SMALL.put(Answer(202)), SMALL.present()]),
    (
        "202, stored later",
        [PING, POST, SMALL.put(Answer(202)), SMALL.absent(), status(SMALL.size), COMMIT],
    ),
    ("500, stored", [PING, POST, SMALL.put(Answer(500)), SMALL.present()]),
    ("504, stored, no length", [PING, POST, SMALL.put(Answer(504)), SMALL.present(0)]),
    (
        "503, session gone",
        [PING, POST, SMALL.put(Answer(503)), SMALL.absent(), status(None), POST_AGAIN, SMALL.put(session=AGAIN)],
    ),
    ("hangs, stored", [PING, POST, SMALL.put(NoAnswer.STALL), SMALL.present()]),
    ("520 of a proxy, stored", [PING, POST, SMALL.put(Answer(520)), SMALL.present()]),
    (
        "524 of a proxy, stored",
        [PING, POST, SMALL.put(Answer(524, PAGE, b"<html><title>A timeout occurred</title>")), SMALL.present()],
    ),
    # The POST.
    ("POST 500 once", [PING, replace(POST, answer=Answer(500)), POST, SMALL.put()]),
    ("POST 502 with a page", [PING, replace(POST, answer=Answer(502, PAGE, b"<html>")), POST, SMALL.put()]),
    ("POST dropped", [PING, replace(POST, answer=NoAnswer.DROP), POST, SMALL.put()]),
    ("POST 429 without a word", [PING, replace(POST, answer=Answer(429, {"Retry-After": "-5"})), POST, SMALL.put()]),
    # The PATCH.
    ("PATCH 200", [*patching(SMALL, SMALL.patch(Answer(200, {"Location": SESSION}))), COMMIT]),
    ("PATCH 201, no Location", [*patching(SMALL, SMALL.patch(Answer(201))), COMMIT]),
    ("PATCH 204, no Range", [*patching(SMALL, SMALL.patch(Answer(204, {"Location": SESSION}))), COMMIT]),
    (
        "PATCH Range in bytes",
        [*patching(SMALL, SMALL.patch(Answer(202, {"Range": f"bytes=0-{SMALL.size - 1}"}))), COMMIT],
    ),
    ("PATCH Range is a count", [*patching(SMALL, SMALL.patch(Answer(202, {"Range": f"0-{SMALL.size}"}))), COMMIT]),
    ("PATCH Range is a word", [*patching(SMALL, SMALL.patch(Answer(202, {"Range": "all"}))), COMMIT]),
    (
        "PATCH Range of a total",
        [*patching(SMALL, SMALL.patch(Answer(202, {"Range": f"bytes 0-{SMALL.size - 1}/{SMALL.size}"}))), COMMIT],
    ),
    (
        "PATCH moves the session",
        [*patching(SMALL, SMALL.patch(Answer(202, {"Location": AGAIN}))), replace(COMMIT, path=SMALL.commit(AGAIN))],
    ),
    (
        "PATCH moves it relative",
        [*patching(SMALL, SMALL.patch(Answer(202, {"Location": "2"}))), replace(COMMIT, path=SMALL.commit(AGAIN))],
    ),
    # The status.
    (
        "PATCH 500, status 200",
        [
            *patching(SMALL, SMALL.patch(Answer(500))),
            Exchange("GET", SESSION, Answer(200, {"Range": f"0-{SMALL.size - 1}"})),
            COMMIT,
        ],
    ),
    (
        "PATCH 500, status 405",
        [
            *patching(SMALL, SMALL.patch(Answer(500))),
            Exchange("GET", SESSION, Answer(405)),
            CANCEL,
            POST_AGAIN,
            SMALL.patch(taken(SMALL), session=AGAIN),
            COMMIT,
        ],
    ),
    (
        "PATCH 500, status of another",
        [
            *patching(SMALL, SMALL.patch(Answer(500))),
            Exchange("GET", SESSION, Answer(204, {"Range": "0-999999999"})),
            CANCEL,
            POST_AGAIN,
            SMALL.patch(taken(SMALL), session=AGAIN),
            COMMIT,
        ],
    ),
]


@pytest.mark.parametrize("script", [each[1] for each in STORED], ids=[each[0] for each in STORED])
def test_an_odd_answer_stops_no_upload(script: list[Exchange]) -> None:
    with ScriptedRegistry(*script, ordered=True) as registry:
        SMALL.push(
            registry,
            limits=IMPATIENT
            if any(e.answer is NoAnswer.STALL for e in script)
            else structs.replace(IMPATIENT, tries=3, idle_timeout=10, commit_timeout=10),
        )


QUOTA = "Quota has been exceeded on namespace"
ENDS = [
    (
        "POST 200, a login",
        [PING, replace(POST, answer=Answer(200, PAGE, b"<html><title>Sign in</title>"))],
        AddressWrong,
        "Sign in",
    ),
    (
        "POST 201, no session",
        [PING, replace(POST, answer=Answer(201, {"Location": "/v2/x"}))],
        ResponseInvalid,
        "answered 201",
    ),
    (
        "POST 302 to a login",
        [PING, replace(POST, answer=Answer(302, {"Location": "https://sso.example/login?x"}))],
        AddressWrong,
        "leads to sso.example",
    ),
    (
        "POST 301 to https",
        [PING, replace(POST, answer=Answer(301, {"Location": f"https://there.example{UPLOADS}"}))],
        AddressWrong,
        "there.example",
    ),
    (
        "POST 404 of a name",
        [PING, replace(POST, answer=said(404, "NAME_UNKNOWN", "repository name not known to registry"))],
        NamespaceMissing,
        "not known to registry",
    ),
    (
        "POST 400 of a name",
        [PING, replace(POST, answer=said(400, "NAME_INVALID", "invalid repository name"))],
        RequestRefused,
        "invalid repository name",
    ),
    ("POST 403 quota", [PING, replace(POST, answer=said(403, "DENIED", QUOTA))], QuotaExceeded, QUOTA),
    ("POST 507", [PING, replace(POST, answer=Answer(507))], QuotaExceeded, "answered 507"),
    (
        "POST 402",
        [PING, replace(POST, answer=said(402, "DENIED", "storage limit of your plan is reached"))],
        QuotaExceeded,
        "your plan",
    ),
    (
        "POST 405 read-only",
        [PING, replace(POST, answer=said(405, "DENIED", "System is currently read-only."))],
        RegistryReadOnly,
        "read-only",
    ),
    (
        "POST 403 of a firewall",
        [PING, replace(POST, answer=Answer(403, PAGE, b"<html><title>Request blocked</title>"))],
        AuthenticationRefused,
        "Request blocked",
    ),
    ("POST 413", [PING, replace(POST, answer=Answer(413))], RequestRefused, "answered 413"),
    ("POST 407 of a proxy", [PING, replace(POST, answer=Answer(407))], RequestRefused, "answered 407"),
    ("PUT 403 quota", [PING, POST, SMALL.put(said(403, "DENIED", QUOTA)), cancel()], QuotaExceeded, QUOTA),
    (
        "PUT 413 quota",
        [
            PING,
            POST,
            SMALL.put(said(413, "DENIED", "will exceed the configured upper limit of storage quota")),
            cancel(),
        ],
        QuotaExceeded,
        "upper limit",
    ),
    (
        "PUT 201 of another",
        [PING, POST, SMALL.put(Answer(201, OTHER)), SMALL.absent()],
        ContentMismatch,
        "did not store",
    ),
    (
        "PUT 409",
        [PING, POST, SMALL.put(said(409, "BLOB_UPLOAD_INVALID", "upload is being committed")), cancel()],
        RequestRefused,
        "being committed",
    ),
    ("PATCH 403 quota", [*patching(SMALL, SMALL.patch(said(403, "DENIED", QUOTA))), cancel()], QuotaExceeded, QUOTA),
]


@pytest.mark.parametrize(("script", "kind", "words"), [each[1:] for each in ENDS], ids=[each[0] for each in ENDS])
def test_an_odd_refusal_says_what_it_means(script: list[Exchange], kind: type[ImagePusherError], words: str) -> None:
    with ScriptedRegistry(*script, ordered=True) as registry, pytest.raises(kind) as caught:
        client(registry.host, role="destination", push=True, limits=structs.replace(IMPATIENT, tries=3)).blob_upload(
            SMALL.blob, MemoryReader(SMALL.content), lambda _: None
        ).run()
    assert type(caught.value) is kind
    assert words in caught.value.message
    assert f"{registry.host}/v2/" in caught.value.message
    assert caught.value.advice
