"""A repository that is missing is made by Quay's API, with a token of that API and no other."""

import json

import pytest

from tasks.errors import AuthenticationRefused, ImagePusherError, NamespaceMissing, RegistryUnavailable, RequestRefused
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration, RegistrySettings
from tests.support.scripted import Answer, Exchange, Received, ScriptedRegistry
from tests.unit.registry.clients import NAME, PING, QUICK, client

PATH = "/api/v1/repository"
TOKEN = RegistrySettings(api_token="of-the-api")


def words(status: int, said: str) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps({"detail": said, "status": status}).encode())


def asked(answer: Answer, times: int = 1) -> Exchange:
    return Exchange("POST", PATH, answer, request_headers={"Authorization": "Bearer of-the-api"}, times=times)


@pytest.mark.parametrize("answer", [words(201, "made"), words(400, "Repository already exists")])
def test_a_repository_is_there_afterwards(answer: Answer) -> None:
    with ScriptedRegistry(PING, asked(answer)) as registry:
        client(registry.host, role="destination", settings=TOKEN).create("private")


def test_the_api_is_told_namespace_name_and_visibility() -> None:
    def check(received: Received) -> None:
        body = json.loads(received.body)
        assert (body["namespace"], body["repository"], body["visibility"]) == ("team", "app", "public")

    with ScriptedRegistry(PING, Exchange("POST", PATH, words(201, "made"), check=check)) as registry:
        client(registry.host, role="destination", settings=TOKEN).create("public")


@pytest.mark.parametrize(
    ("status", "detail", "times", "kind"),
    [
        (401, "Invalid bearer token format", 1, AuthenticationRefused),
        (403, "Unauthorized", 1, AuthenticationRefused),
        (400, "Invalid repository name", 1, RequestRefused),
        (502, "Bad gateway", QUICK.tries, RegistryUnavailable),
    ],
)
def test_a_refusal_is_told_in_the_words_of_the_registry(
    status: int, detail: str, times: int, kind: type[ImagePusherError]
) -> None:
    """6.7, 6.8."""
    with ScriptedRegistry(PING, asked(words(status, detail), times)) as registry, pytest.raises(kind) as caught:
        client(registry.host, role="destination", settings=TOKEN).create("private")
    assert detail in str(caught.value)
    assert "of-the-api" not in str(caught.value)


def test_a_name_without_a_namespace_is_refused_before_a_request() -> None:
    registries = Registries(RegistryConfiguration({"quay.example": TOKEN}))
    with pytest.raises(NamespaceMissing):
        registries.repository("quay.example", "app", "destination").create("private")


def test_a_registry_without_a_known_api_is_an_error_that_names_the_setting() -> None:
    with pytest.raises(ImagePusherError) as caught:
        client("registry.example", role="destination").create("private")
    assert caught.value.code == "repository_missing"
    assert f"registry.example/{NAME}" in str(caught.value)
    assert "api_token_file" in str(caught.value)
