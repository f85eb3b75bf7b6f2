"""A registry under maintenance, which says so of reads, writes and deletes alike (BEHAVIOUR 8.6)."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tasks.errors import RegistryReadOnly, RegistryUnavailable, Retry, Side
from tasks.registry.repository import Repository
from tasks.registry.settings import Credentials, RegistrySettings
from tests.support import images
from tests.support.scripted import Answer, Exchange, ImprovisingRegistry, NoAnswer, Received, Reply, ScriptedRegistry
from tests.unit.registry.clients import NAME, PING, USER, client, manifest_path

LATEST = manifest_path("latest")
IMAGE = images.image("linux/amd64")
PAGE = Answer(503, {"Content-Type": "text/html"}, b"<html><head><title>Down for maintenance</title></head></html>")
SAID = {"code": "DENIED", "message": "System is currently read-only."}
READ_ONLY = Answer(405, body=json.dumps({"errors": [SAID]}).encode())
Ask = Callable[[Repository], Any]


def read(repository: Repository) -> Any:
    return repository.fetch_manifest("latest")


def look(repository: Repository) -> Any:
    return repository.resolve("latest")


def test_a_page_in_place_of_a_manifest_is_waited_for() -> None:
    """Without any more tries at once."""
    with ScriptedRegistry(PING, Exchange("GET", LATEST, PAGE)) as registry, pytest.raises(RegistryReadOnly) as caught:
        read(client(registry.host))
    error = caught.value
    assert (error.retry, error.retry_after, error.side) == (Retry.WAIT, 60, Side.SOURCE)
    assert "Down for maintenance" in error.message


@pytest.mark.parametrize(("asked", "pause"), [("120", 120), ("7200", None), ("999999999", None)])
def test_how_long_it_asks_for_is_believed_up_to_a_bound(asked: str, pause: float | None) -> None:
    """8.3: and beyond it, one looks once a minute."""
    away = Exchange("GET", LATEST, Answer(503, {"Retry-After": asked}))
    with ScriptedRegistry(PING, away) as registry, pytest.raises(RegistryReadOnly) as caught:
        read(client(registry.host))
    assert (caught.value.retry, caught.value.retry_after) == (Retry.WAIT, pause)


def test_the_reason_of_an_answer_without_a_body_is_asked_for() -> None:
    """A HEAD is answered without one."""
    script = (PING, Exchange("HEAD", LATEST, PAGE, times=3), Exchange("GET", "/v2/", PAGE))
    with ScriptedRegistry(*script, ordered=True) as registry, pytest.raises(RegistryReadOnly, match="maintenance"):
        look(client(registry.host, role="destination"))


@pytest.mark.parametrize("said", [Answer(503), NoAnswer.DROP, Answer(404)])
def test_a_registry_whose_base_says_nothing_of_maintenance_is_unavailable(said: Reply) -> None:
    script = (PING, Exchange("HEAD", LATEST, Answer(503), times=3), Exchange("GET", "/v2/", said))
    with ScriptedRegistry(*script, ordered=True) as registry, pytest.raises(RegistryUnavailable) as caught:
        look(client(registry.host, role="destination"))
    assert caught.value.retry is Retry.LATER


def test_a_server_of_tokens_under_maintenance_is_waited_for() -> None:
    with ScriptedRegistry(Exchange("GET", "/token", PAGE)) as realm:
        refused = Answer(401, {"WWW-Authenticate": f'Bearer realm="{realm.url}/token"'})
        with (
            ScriptedRegistry(Exchange("GET", "/v2/", refused)) as registry,
            pytest.raises(RegistryReadOnly) as caught,
        ):
            read(client(registry.host))
    assert caught.value.retry_after == 60
    assert f"{realm.host}/token answered 503: a web page, 'Down for maintenance'" in caught.value.message


def test_a_server_of_tokens_that_writes_nothing_for_now_is_waited_for() -> None:
    """Quay makes a repository with the token for it: read-only, it answers 405, as for a disabled namespace."""
    with ScriptedRegistry(Exchange("GET", "/token", READ_ONLY)) as realm:
        refused = Answer(401, {"WWW-Authenticate": f'Bearer realm="{realm.url}/token"'})
        with (
            ScriptedRegistry(Exchange("GET", "/v2/", refused)) as registry,
            pytest.raises(RegistryReadOnly, match=r"status 405: DENIED: System is currently read-only\.") as caught,
        ):
            read(client(registry.host))
    assert (caught.value.retry, caught.value.retry_after, caught.value.side) == (Retry.WAIT, 60, Side.SOURCE)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        # Quay: REGISTRY_STATE, DISABLE_PUSHES.
        (405, "System is currently read-only. Pulls will succeed but all write operations are currently suspended."),
        (405, "Pushes to the registry are currently disabled. Please contact the administrator for more information."),
        (403, "the system is in read only mode. Any modification is prohibited."),
        (503, "The registry is under scheduled maintenance"),
        (423, "Registry is read only"),
    ],
)
def test_a_write_that_is_refused_for_now_is_waited_for(status: int, words: str) -> None:
    """In the words of the registry."""
    said = Answer(status, body=json.dumps({"errors": [{"code": "DENIED", "message": words}]}).encode())
    with (
        ImprovisingRegistry(lambda received: said if received.method == "PUT" else Answer()) as registry,
        pytest.raises(RegistryReadOnly) as caught,
    ):
        client(registry.host, role="destination", push=True).push_manifest("1", IMAGE.manifest, IMAGE.media_type)
    assert words in caught.value.message
    assert caught.value.retry is Retry.WAIT


@pytest.mark.parametrize(
    ("credentials", "secret"), [(USER, "password"), (Credentials(identity_token="identity-secret"), "identity-secret")]
)
def test_what_a_server_of_tokens_quotes_of_the_credentials_is_not_shown(credentials: Credentials, secret: str) -> None:
    """6.7."""

    def quoting(received: Received) -> Answer:
        said = f"maintenance {received.headers.get('Authorization')} {received.body.decode()} {secret}"
        return Answer(503, body=json.dumps({"message": said}).encode())

    with ImprovisingRegistry(quoting) as realm:
        refused = Answer(401, {"WWW-Authenticate": f'Bearer realm="{realm.url}/token"'})
        with (
            ScriptedRegistry(Exchange("GET", "/v2/", refused)) as registry,
            pytest.raises(RegistryReadOnly, match="maintenance") as caught,
        ):
            read(client(registry.host, settings=RegistrySettings(credentials=credentials)))
    shown = f"{caught.value!r} {caught.value}"
    assert not any(each in shown for each in (secret, "dXNlcjpwYXNzd29yZA"))


@pytest.mark.parametrize(
    "ask",
    [
        lambda repository: repository.delete_tag("latest"),
        lambda repository: repository.deletes(),
        lambda repository: repository.delete_manifest(IMAGE.digest),
    ],
    ids=["tag", "look", "manifest"],
)
def test_a_delete_that_is_refused_for_now_is_not_taken_for_one_that_is_never_done(ask: Ask) -> None:
    """Quay's words; a release that is rolled back waits."""

    def answer(received: Received) -> Answer:
        return READ_ONLY if received.method == "DELETE" else Answer()

    with ImprovisingRegistry(answer) as registry, pytest.raises(RegistryReadOnly) as caught:
        ask(client(registry.host, role="destination", push=True))
    assert (caught.value.side, caught.value.retry) == (Side.DESTINATION, Retry.WAIT)
    assert NAME in caught.value.message
