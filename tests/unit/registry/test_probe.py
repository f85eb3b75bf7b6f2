"""The questions of a probe, as a registry sees them."""

from typing import Any

import pytest

from tasks.errors import AuthenticationRefused, NotFound, RegistryUnavailable
from tasks.registry.probe import Probe
from tasks.registry.settings import Credentials, RegistryConfiguration, RegistrySettings
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.unit.registry.clients import QUICK

UPLOADS = "/v2/team/x/blobs/uploads/"
OPENED = Answer(202, {"Location": "/v2/upload?state=1"})


def probe(registry: ScriptedRegistry, **settings: Any) -> Probe:
    configured = {registry.host: RegistrySettings(**settings)}
    return Probe(registry.host, RegistryConfiguration(configured, limits=QUICK))


@pytest.mark.parametrize(("status", "asks"), [(200, False), (401, True), (404, False)])
def test_a_ping_tells_the_status_and_the_way_there(status: int, asks: bool) -> None:
    with ScriptedRegistry(Exchange("GET", "/v2/", Answer(status, {"Date": "nonsense"}))) as registry:
        ping = probe(registry).ping()
    assert (ping.status, ping.asks_for_credentials, ping.is_https, ping.is_loopback) == (status, asks, False, True)
    assert ping.ahead is None


@pytest.mark.parametrize(("status", "cancelled"), [(204, True), (202, True), (405, False), (404, False)])
def test_an_upload_is_opened_and_cancelled(status: int, cancelled: bool) -> None:
    with ScriptedRegistry(
        Exchange("GET", "/v2/", Answer(200)),
        Exchange("POST", UPLOADS, OPENED),
        Exchange("DELETE", "/v2/upload?state=1", Answer(status)),
    ) as registry:
        assert probe(registry).open_upload("team/x") is cancelled


@pytest.mark.parametrize(("status", "error"), [(403, AuthenticationRefused), (404, NotFound)])
def test_who_may_not_push_is_told(status: int, error: type[Exception]) -> None:
    with (
        ScriptedRegistry(
            Exchange("GET", "/v2/", Answer(200)), Exchange("POST", UPLOADS, Answer(status), times=None)
        ) as registry,
        pytest.raises(error),
    ):
        probe(registry).open_upload("team/x")


def test_a_repository_that_does_not_exist_may_be_read_all_the_same() -> None:
    with ScriptedRegistry(
        Exchange("GET", "/v2/", Answer(200)), Exchange("GET", "/v2/team/x/tags/list", Answer(404))
    ) as registry:
        probe(registry).pull("team/x")


def test_roles_are_asked_for_apart_where_their_credentials_differ() -> None:
    one, other = Credentials("one", "x"), Credentials("other", "x")
    with ScriptedRegistry() as registry:
        assert probe(registry, credentials=one).roles() == ("destination",)
        assert probe(registry, source_credentials=one, destination_credentials=other).roles() == (
            "source",
            "destination",
        )
        assert probe(registry, credentials=one).has_credentials("source")


def test_a_registry_that_is_down_is_told() -> None:
    with ScriptedRegistry() as registry:
        host = registry.host
    with pytest.raises(RegistryUnavailable):
        Probe(host, RegistryConfiguration(limits=QUICK)).ping()
