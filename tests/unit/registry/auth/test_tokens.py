"""Tokens come from the realm, once for all threads, and are renewed before they end (BEHAVIOUR 8.1)."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from tasks.errors import (
    AddressForbidden,
    AddressWrong,
    AuthenticationRefused,
    ImagePusherError,
    RateLimited,
    RegistryUnavailable,
    RequestRefused,
    ResponseInvalid,
)
from tasks.registry.auth.challenge import Challenge
from tasks.registry.auth.tokens import TokenSource
from tasks.registry.settings import Credentials

ORIGIN = "https://registry.example"
REALM = "https://auth.example/token"
BEARER = Challenge("bearer", {"realm": REALM, "service": "registry.example"})
PULL = frozenset({"repository:a/b:pull"})
USER = Credentials("user", "pass:word")
IDENTITY = Credentials(identity_token="identity-secret")


class Request(NamedTuple):
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None


class Realm:
    """A fake `send` that answers by order with what it is told, the last answer for ever; it is its own clock."""

    def __init__(self, *answers: Mapping[str, Any] | bytes | int) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []
        self.now = 5000.0

    def clock(self) -> float:
        return self.now

    def __call__(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        self.requests.append(Request(method, url, headers, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, int):
            secret = "identity-secret" if body else "pass:word" if "Authorization" in headers else ""
            return answer, {}, json.dumps({"errors": [{"message": f"you sent {secret}"}]}).encode()
        return 200, {}, answer if isinstance(answer, bytes) else json.dumps(answer).encode()


def source(realm: Realm) -> Callable[..., str]:
    tokens = TokenSource(realm, realm.clock)

    def token(
        challenge: Challenge = BEARER,
        scopes: frozenset[str] = PULL,
        credentials: Credentials | None = None,
        origin: str = ORIGIN,
    ) -> str:
        return tokens.token(challenge, scopes, credentials, origin=origin)

    return token


def test_an_anonymous_token_is_asked_for_without_credentials() -> None:
    """BEHAVIOUR 8.1."""
    realm = Realm({"token": "t"})
    assert source(realm)(scopes=frozenset({"repository:b:pull", "repository:a:pull,push"})) == "t"
    (request,) = realm.requests
    assert (request.method, request.body, "Authorization" in request.headers) == ("GET", None, False)
    parts = urlsplit(request.url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == REALM
    assert parse_qsl(parts.query) == [
        ("service", "registry.example"),
        ("scope", "repository:a:pull,push"),
        ("scope", "repository:b:pull"),
    ]


def test_a_user_goes_to_the_realm_as_basic_and_never_in_the_url() -> None:
    """BEHAVIOUR 8.1 and 6.7."""
    realm = Realm({"token": "t"})
    source(realm)(credentials=USER)
    (request,) = realm.requests
    scheme, encoded = request.headers["Authorization"].split()
    assert (request.method, scheme, base64.b64decode(encoded)) == ("GET", "Basic", b"user:pass:word")
    assert "pass" not in request.url


def test_an_identity_token_is_exchanged_by_oauth() -> None:
    """BEHAVIOUR 8.1."""
    realm = Realm({"access_token": "t"})
    assert source(realm)(scopes=PULL | {"repository:c:pull"}, credentials=IDENTITY) == "t"
    (request,) = realm.requests
    assert (request.method, request.url, "Authorization" in request.headers) == ("POST", REALM, False)
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs((request.body or b"").decode()) == {
        "grant_type": ["refresh_token"],
        "client_id": ["imagepusher"],
        "service": ["registry.example"],
        "scope": ["repository:a/b:pull repository:c:pull"],
        "refresh_token": ["identity-secret"],
    }


def test_a_realm_keeps_its_own_query_and_a_service_is_not_made_up() -> None:
    realm = Realm({"token": "t"})
    source(realm)(challenge=Challenge("bearer", {"realm": REALM + "?account=a%20b#x"}))
    assert realm.requests[0].url == REALM + "?account=a%20b&scope=repository%3Aa%2Fb%3Apull"


def test_a_token_for_no_scope_has_none_in_its_request() -> None:
    realm = Realm({"token": "t"})
    source(realm)(scopes=frozenset())
    assert realm.requests[0].url == REALM + "?service=registry.example"


@pytest.mark.parametrize(
    "answer",
    [
        {"token": "t"},
        {"access_token": "t"},
        {"token": "t", "access_token": "u"},
        {"token": "", "access_token": "t"},
        {"token": "t", "expires_in": None, "issued_at": "not a time", "refresh_token": "r"},
        {"token": "t", "expires_in": "300"},
    ],
)
def test_a_token_is_found_under_either_name(answer: Mapping[str, Any]) -> None:
    """BEHAVIOUR 8.1."""
    assert source(Realm(answer))() == "t"


@pytest.mark.parametrize(
    ("life", "serves"),
    [
        ({}, 50.0),
        ({"expires_in": None}, 50.0),
        ({"expires_in": 0}, 50.0),
        ({"expires_in": -5}, 50.0),
        ({"expires_in": 300, "issued_at": "2001-01-01T00:00:00Z"}, 290.0),
        ({"expires_in": 20}, 15.0),
        ({"expires_in": 4}, 3.0),
    ],
)
def test_a_token_is_renewed_a_margin_before_it_ends(life: Mapping[str, Any], serves: float) -> None:
    """BEHAVIOUR 8.1."""
    realm = Realm({"token": "first", **life}, {"token": "second"})
    token = source(realm)
    assert token() == "first"
    realm.now += serves - 0.01
    assert token() == "first"
    realm.now += 0.01
    assert token() == "second"


def test_tokens_are_kept_by_realm_service_scopes_and_who() -> None:
    realm = Realm({"token": "t"})
    token = source(realm)
    different: list[dict[str, Any]] = [
        {},
        {"scopes": frozenset({"repository:a/b:pull,push"})},
        {"credentials": USER},
        {"credentials": Credentials("user", "another")},
        {"credentials": IDENTITY},
        {"challenge": Challenge("bearer", {"realm": REALM, "service": "other"})},
        {"challenge": Challenge("bearer", {"realm": REALM + "2", "service": "registry.example"})},
    ]
    for _ in range(2):
        for each in different:
            token(**each)
    assert len(realm.requests) == len(different)


def test_a_forgotten_token_is_fetched_again() -> None:
    realm = Realm({"token": "first"}, {"token": "second"}, {"token": "third"})
    tokens = TokenSource(realm, realm.clock)
    assert tokens.token(BEARER, PULL, None, origin=ORIGIN) == "first"
    tokens.forget("another")
    assert tokens.token(BEARER, PULL, None, origin=ORIGIN) == "first"
    tokens.forget("first")
    assert tokens.token(BEARER, PULL, None, origin=ORIGIN) == "second"


@pytest.mark.parametrize(
    ("credentials", "status", "error"),
    [
        (USER, 401, AuthenticationRefused),
        (USER, 403, AuthenticationRefused),
        (None, 401, AuthenticationRefused),
        (IDENTITY, 401, AuthenticationRefused),
        (IDENTITY, 400, AuthenticationRefused),
        (USER, 400, RequestRefused),
        (USER, 404, ResponseInvalid),
        (USER, 302, ResponseInvalid),
        (USER, 204, ResponseInvalid),
        (USER, 429, RateLimited),
        (USER, 503, RegistryUnavailable),
    ],
)
def test_a_realm_that_gives_no_token_is_named_without_secrets(
    credentials: Credentials | None, status: int, error: type[ImagePusherError]
) -> None:
    """BEHAVIOUR 6.7."""
    with pytest.raises(error, match=r"auth\.example") as raised:
        source(Realm(status))(credentials=credentials)
    assert isinstance(raised.value, error)
    assert "pass" not in str(raised.value)
    assert "secret" not in str(raised.value)
    assert error is not AuthenticationRefused or "repository:a/b:pull" in str(raised.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>SECRET",
        b"[]",
        b"{}",
        b'{"token": null}',
        b'{"token": ["SECRET"]}',
        b'{"token": "SECRET\\r\\nX-Header: x"}',
        b'{"token": "SECRET two"}',
        '{"token": "SECRET-ü"}'.encode(),
        b'{"token": "\xff"}',
        b"[" * 100_000,
    ],
)
def test_an_answer_without_a_usable_token_is_invalid_and_not_quoted(body: bytes) -> None:
    with pytest.raises(ResponseInvalid) as raised:
        source(Realm(body))()
    assert "SECRET" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("realm", ["", "token", "ftp://auth.example/", "file:///etc/passwd", "//auth.example/"])
def test_a_realm_must_be_http(realm: str) -> None:
    send = Realm({"token": "t"})
    with pytest.raises(ResponseInvalid):
        source(send)(challenge=Challenge("bearer", {"realm": realm}))
    assert not send.requests


@pytest.mark.parametrize("credentials", [USER, IDENTITY])
@pytest.mark.parametrize("origin", [ORIGIN, "https://127.0.0.1:5000"])
def test_credentials_of_an_https_registry_never_go_to_an_http_realm(credentials: Credentials, origin: str) -> None:
    """BEHAVIOUR 8.2."""
    send = Realm({"token": "t"})
    challenge = Challenge("bearer", {"realm": "HTTP://auth.example/token"})
    with pytest.raises(AddressForbidden):
        source(send)(challenge=challenge, credentials=credentials, origin=origin)
    assert not send.requests


@pytest.mark.parametrize(
    ("origin", "realm"),
    [("http://registry.example", "http://auth.example/token"), ("https://localhost:5000", "http://127.0.0.1:5001/t")],
)
@pytest.mark.parametrize("credentials", [None, USER])
def test_an_http_realm_serves_a_registry_that_is_no_safer(
    origin: str, realm: str, credentials: Credentials | None
) -> None:
    challenge = Challenge("bearer", {"realm": realm})
    assert source(Realm({"token": "t"}))(challenge=challenge, credentials=credentials, origin=origin) == "t"


def test_an_http_realm_may_not_choose_the_token_of_an_https_registry() -> None:
    """8.2: not even for who has no credentials to lose; its name may stand for an address within."""
    send = Realm({"token": "t"})
    with pytest.raises(AddressForbidden, match="is reached by https"):
        source(send)(challenge=Challenge("bearer", {"realm": "http://registry.example:8000/token"}))
    assert not send.requests


@pytest.mark.parametrize("status", [401, 403, 405])
def test_a_realm_that_refuses_is_quoted(status: int) -> None:
    """6.8."""
    for body in (b'{"message": "Namespace team is disabled"}', b'{"details": "Namespace team is disabled"}'):
        send = TokenSource(lambda *_, body=body: (status, {}, body))
        with pytest.raises(AuthenticationRefused, match="Namespace team is disabled"):
            send.token(BEARER, PULL, None, origin=ORIGIN)


@pytest.mark.parametrize(
    "body",
    [
        b'{"errors": [{"code": "NAME_INVALID", "message": "Nested repositories are not supported. Found: a/b/c"}]}',
        b'{"error": "invalid_scope", "error_description": "Nested repositories are not supported."}',
    ],
)
def test_a_realm_that_refuses_the_request_itself_is_no_wrong_address(body: bytes) -> None:
    """6.8: the words of the registry say what is wrong."""
    send = TokenSource(lambda *_: (400, {}, body))
    with pytest.raises(RequestRefused, match=r"Nested repositories are not supported\."):
        send.token(BEARER, PULL, None, origin=ORIGIN)


def test_a_realm_that_refuses_in_plain_text_is_quoted_without_secrets() -> None:
    """6.7, 6.8."""
    send = TokenSource(
        lambda *_: (401, {"Content-Type": "text/plain; charset=utf-8"}, b"not for you\nwith pass:word\n")
    )
    with pytest.raises(AuthenticationRefused, match="not for you") as caught:
        send.token(BEARER, PULL, USER, origin=ORIGIN)
    assert "pass:word" not in str(caught.value)


def test_a_realm_that_is_a_web_page_is_a_wrong_address() -> None:
    """6.8."""
    with pytest.raises(AddressWrong):
        source(Realm(b"<!DOCTYPE html><html><title>Sign in</title>"))()


def test_a_public_registry_does_not_lead_to_a_realm_inside() -> None:
    send = Realm({"token": "t"})
    with pytest.raises(AddressForbidden):
        source(send)(challenge=Challenge("bearer", {"realm": "http://169.254.169.254/latest/meta-data"}))
    assert not send.requests


def test_a_local_registry_has_a_local_realm() -> None:
    challenge = Challenge("bearer", {"realm": "http://127.0.0.1:5001/token"})
    assert source(Realm({"token": "t"}))(challenge=challenge, credentials=USER, origin="http://127.0.0.1:5000") == "t"
