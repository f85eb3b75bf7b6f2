"""Odd answers of token servers, and odd challenges (BEHAVIOUR 6.7, 6.8, 8.1)."""

import json
from typing import Any

import pytest

from tasks.errors import (
    AddressWrong,
    AuthenticationRefused,
    ImagePusherError,
    RateLimited,
    RegistryUnavailable,
    RequestRefused,
    ResponseInvalid,
)
from tasks.registry.settings import Credentials, RegistrySettings
from tests.support import images
from tests.support.scripted import Answer, Exchange, NoAnswer, Reply, ScriptedRegistry
from tests.unit.registry.clients import USER, client, manifest_path

IMAGE = images.image()
MANIFEST = Answer(200, {"Content-Type": IMAGE.media_type}, IMAGE.manifest)
LATEST = manifest_path("latest")
SERVED = Exchange("GET", LATEST, MANIFEST, request_headers={"Authorization": "Bearer t"})


def given(**fields: Any) -> Answer:
    return Answer(body=json.dumps(fields).encode())


def read(
    reply: Reply,
    challenge: str = 'Bearer realm="{}/token"',
    credentials: Credentials | None = USER,
    times: int | None = 1,
    *then: Exchange,
) -> bytes:
    with ScriptedRegistry(Exchange("GET", "/token", reply, times=times)) as realm:
        refused = Answer(401, {"WWW-Authenticate": challenge.format(realm.url)})
        with ScriptedRegistry(Exchange("GET", "/v2/", refused), *then) as registry:
            settings = RegistrySettings(credentials=credentials)
            return client(registry.host, settings=settings).fetch_manifest("latest").content


@pytest.mark.parametrize(
    "answer",
    [
        given(token="t"),
        given(access_token="t"),
        given(token="", access_token="t"),
        given(token=None, access_token="t"),
        given(token="t", expires_in=0),
        given(token="t", expires_in=-1),
        given(token="t", expires_in="300"),
        given(token="t", expires_in=None),
        given(token="t", expires_in=0.5),
        given(token="t", expires_in=10**15),
        given(token="t", expires_in="soon"),
        given(token="t", expires_in=""),
        given(token="t", expires_in=[]),
        given(token="t", expires_in=True),
        given(token="t", access_token="t", issued_at=17, scope=["a"]),
        given(token="t", access_token=17),
        given(token="t", errors=None),
        Answer(headers={"Content-Type": "text/html"}, body=b'{"token": "t"}'),
        Answer(headers={"Content-Type": "text/plain"}, body=b'\n {"token": "t"}\n'),
    ],
)
def test_a_token_is_used_however_it_is_given(answer: Answer) -> None:
    assert read(answer, 'Bearer realm="{}/token"', USER, 1, SERVED) == IMAGE.manifest


@pytest.mark.parametrize(
    "challenge",
    [
        'bearer REALM="{}/token"',
        "Bearer realm={}/token",
        'Bearer realm="{}/token", service=, scope=""',
        'Bearer service="x",realm="{}/token",error="insufficient_scope"',
        'Negotiate, Bearer realm="{}/token"',
        'Basic realm="r", Bearer realm="{}/token"',
        'Bearer realm="{}/token?account=x"',
        'Bearer realm="{}/token",scope="repository:team/app:pull repository:team/app:pull"',
        'Bearer realm="{}/token",scope="repository:other/app:pull registry:catalog:*"',
    ],
)
def test_an_odd_challenge_is_understood(challenge: str) -> None:
    assert read(given(token="t"), challenge, USER, 1, SERVED) == IMAGE.manifest


WORDS = b'{"errors": [{"code": "DENIED", "message": "Namespace team is disabled"}]}'
PAGE = Answer(200, {"Content-Type": "text/html"}, b"<html><title>Sign in</title></html>")


@pytest.mark.parametrize(
    ("reply", "credentials", "kind", "words"),
    [
        (Answer(401), USER, AuthenticationRefused, "refused a token for repository:team/app:pull (status 401)"),
        (Answer(401), None, AuthenticationRefused, "No credentials"),
        (
            Answer(403, {"Content-Type": "text/html"}, b"<html><title>Forbidden</title>"),
            USER,
            AuthenticationRefused,
            "a web page, 'Forbidden'",
        ),
        (Answer(403, body=WORDS), None, AuthenticationRefused, "Namespace team is disabled"),
        (Answer(200, body=WORDS), USER, ResponseInvalid, "Namespace team is disabled"),
        (
            Answer(200, body=b'{"details": "Namespace team is disabled"}'),
            USER,
            ResponseInvalid,
            "Namespace team is disabled",
        ),
        (PAGE, USER, AddressWrong, "a web page"),
        (Answer(422, body=b'{"message": "unknown service"}'), USER, RequestRefused, "unknown service"),
        (Answer(404), USER, ResponseInvalid, "no server of tokens"),
        (Answer(302, {"Location": "https://sso.example/"}), USER, ResponseInvalid, "another server"),
    ],
)
def test_a_refusal_of_a_token_is_quoted(
    reply: Answer, credentials: Credentials | None, kind: type[ImagePusherError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        read(reply, 'Bearer realm="{}/token"', credentials)
    assert type(caught.value) is kind or kind is ResponseInvalid
    assert words in caught.value.message
    assert "password" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Answer(429), RateLimited),
        (Answer(429, {"Content-Type": "text/html"}, b"<html><title>429 Too Many Requests</title>"), RateLimited),
        (Answer(500), RegistryUnavailable),
        (Answer(504, {"Content-Type": "text/html"}, b"<html>"), RegistryUnavailable),
        (NoAnswer.DROP, RegistryUnavailable),
    ],
)
def test_a_token_server_that_does_not_serve_is_asked_again(reply: Reply, kind: type[ImagePusherError]) -> None:
    with pytest.raises(kind):
        read(reply, 'Bearer realm="{}/token"', USER, 3)


def test_a_token_that_is_refused_again_and_again_ends() -> None:
    """Each is fetched once, and the registry's words are quoted."""
    refused = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "token signature is invalid"}]}).encode()
    with ScriptedRegistry(Exchange("GET", "/token", given(token="t"), times=2)) as realm:
        challenge = Answer(401, {"WWW-Authenticate": f'Bearer realm="{realm.url}/token"'}, refused)
        with (
            ScriptedRegistry(
                Exchange("GET", "/v2/", challenge), Exchange("GET", LATEST, challenge, times=2)
            ) as registry,
            pytest.raises(AuthenticationRefused, match="token signature is invalid"),
        ):
            client(registry.host, settings=RegistrySettings(credentials=USER)).fetch_manifest("latest")
