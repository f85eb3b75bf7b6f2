"""Who watches is told of every request, every further try and every limit, by the registry that they are due to."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tasks import telemetry
from tasks.errors import RegistryUnavailable
from tests.support.images import image
from tests.support.scripted import Answer, Exchange, NoAnswer, ScriptedRegistry
from tests.unit.registry.clients import NAME, PING, blob_of, blob_path, client, manifest_path

IMAGE = image()
LATEST = manifest_path("latest")
MANIFEST = Answer(200, {"Content-Type": IMAGE.media_type}, IMAGE.manifest)


class Watching:
    """Add up all counts by name and labels."""

    def __init__(self) -> None:
        self.counted: Counter[tuple[str, ...]] = Counter()

    def count(self, name: str, amount: float, labels: Mapping[str, str]) -> None:
        assert set(labels) == set(telemetry.COUNTERS[name])
        self.counted[name, *labels.values()] += int(amount)

    def observe(self, name: str, seconds: float, labels: Mapping[str, str]) -> None: ...

    def span(self, name: str, attributes: Mapping[str, Any]) -> AbstractContextManager[telemetry.Span] | None: ...


@pytest.fixture
def watching() -> Iterator[Watching]:
    listener = Watching()
    telemetry.listen(listener)
    yield listener
    telemetry.stop_listening(listener)


def test_requests_are_counted_by_what_came_of_them(watching: Watching) -> None:
    script = [Exchange("GET", LATEST, reply) for reply in (NoAnswer.DROP, Answer(429), MANIFEST)]
    with ScriptedRegistry(PING, *script) as registry:
        client(registry.host).fetch_manifest("latest")
    assert watching.counted == {
        ("http_requests", registry.host, "GET", "200"): 2,
        ("http_requests", registry.host, "GET", "429"): 1,
        ("http_requests", registry.host, "GET", "error"): 1,
        ("http_retries", registry.host): 2,
        ("rate_limited", registry.host): 1,
    }


def test_the_last_try_is_not_followed_by_another(watching: Watching) -> None:
    with ScriptedRegistry(PING, Exchange("GET", LATEST, Answer(503), times=3)) as registry:
        with pytest.raises(RegistryUnavailable):
            client(registry.host).fetch_manifest("latest")
        assert watching.counted["http_retries", registry.host] == 2


def test_where_a_registry_leads_counts_for_the_registry(watching: Watching) -> None:
    content = b"content"
    token = Exchange("GET", "/token", Answer(body=b'{"token": "t"}'))
    with ScriptedRegistry(token, Exchange("GET", "/store", Answer(body=content))) as elsewhere:
        challenge = Answer(401, {"WWW-Authenticate": f'Bearer realm="{elsewhere.url}/token"'})
        moved = Answer(307, {"Location": f"{elsewhere.url}/store"})
        with ScriptedRegistry(
            Exchange("GET", "/v2/", challenge), Exchange("GET", blob_path(content), moved)
        ) as registry:
            client(registry.host).read_blob(blob_of(content), 100)
    assert watching.counted == {
        ("http_requests", registry.host, "GET", "401"): 1,
        ("http_requests", registry.host, "GET", "307"): 1,
        ("http_requests", registry.host, "GET", "200"): 2,
    }


def test_a_blob_that_goes_on_after_a_cut_is_a_further_try(watching: Watching) -> None:
    content = b"x" * 1000
    path = blob_path(content)
    rest = Answer(206, {"Content-Range": f"bytes 10-999/{len(content)}"}, content[10:])
    with ScriptedRegistry(
        PING, Exchange("GET", path, Answer(body=content, cut_after=10)), Exchange("GET", path, rest)
    ) as registry:
        assert client(registry.host).read_blob(blob_of(content), 1000) == content
    assert watching.counted["http_retries", registry.host] == 1


def test_no_label_names_what_was_asked_for(watching: Watching) -> None:
    with ScriptedRegistry(PING, Exchange("GET", LATEST, MANIFEST)) as registry:
        client(registry.host).fetch_manifest("latest")
    assert not [labels for labels in watching.counted if NAME in "".join(labels)]
