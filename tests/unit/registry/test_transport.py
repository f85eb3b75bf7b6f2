"""One exchange with a registry: what is tried again, and how long it may take (BEHAVIOUR section 8)."""

import json
import re
import socket
import threading
from dataclasses import replace

import pytest
from msgspec import structs

from tasks.errors import (
    AuthenticationRefused,
    NotFound,
    RateLimited,
    RegistryError,
    RegistryUnavailable,
    RequestRefused,
    ResponseInvalid,
    Retry,
)
from tasks.oci import media_types
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration, RegistrySettings
from tests.support.scripted import Answer, Exchange, NoAnswer, ScriptedRegistry
from tests.unit.registry.clients import IMPATIENT, NAME, PING, QUICK, client
from tests.unit.registry.fetching import IMAGE, LATEST, MANIFEST, fetch


@pytest.mark.parametrize("reply", [Answer(status) for status in (408, 429, 500, 502, 503, 504)] + [NoAnswer.DROP])
def test_what_may_pass_is_tried_again(reply: Answer | NoAnswer) -> None:
    """8.3."""
    with ScriptedRegistry(PING, Exchange("GET", LATEST, reply), Exchange("GET", LATEST, MANIFEST)) as registry:
        assert fetch(registry) == IMAGE.manifest


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RequestRefused),
        (403, AuthenticationRefused),
        (404, NotFound),
        (405, RequestRefused),
        (451, RequestRefused),
        (501, RequestRefused),
        (204, ResponseInvalid),
    ],
)
def test_what_stays_is_not_tried_again(status: int, kind: type[RegistryError]) -> None:
    """8.3."""
    with (
        ScriptedRegistry(PING, Exchange("GET", LATEST, Answer(status))) as registry,
        pytest.raises(kind, match=f"GET {registry.host}{LATEST} answered {status}"),
    ):
        fetch(registry)


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, RegistryUnavailable)])
def test_tries_are_bounded(status: int, kind: type[RegistryError]) -> None:
    """8.3."""
    with (
        ScriptedRegistry(PING, Exchange("GET", LATEST, Answer(status), times=QUICK.tries)) as registry,
        pytest.raises(kind, match=rf"answered {status} \(tries: 3\)"),
    ):
        fetch(registry)


@pytest.mark.parametrize("said", ["3600", "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_a_long_retry_after_ends_the_tries_at_once(said: str) -> None:
    """8.3: 429 with Retry-After."""
    busy = Answer(429, {"Retry-After": said}, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}')
    with (
        ScriptedRegistry(PING, Exchange("GET", LATEST, busy)) as registry,
        pytest.raises(RateLimited, match="TOOMANYREQUESTS: slow down") as caught,
    ):
        fetch(registry)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 3600


def test_a_short_retry_after_is_waited_for() -> None:
    """8.3."""
    busy = Exchange("GET", LATEST, Answer(429, {"Retry-After": "0"}))
    with ScriptedRegistry(PING, busy, Exchange("GET", LATEST, MANIFEST)) as registry:
        assert fetch(registry) == IMAGE.manifest


def test_a_lost_connection_within_a_body_is_tried_again() -> None:
    """8.3."""
    cut = replace(MANIFEST, cut_after=10)
    with ScriptedRegistry(PING, Exchange("GET", LATEST, cut), Exchange("GET", LATEST, MANIFEST)) as registry:
        assert fetch(registry) == IMAGE.manifest


@pytest.mark.parametrize("reply", [NoAnswer.STALL, replace(MANIFEST, stall_after=10)])
def test_a_registry_that_sends_nothing_runs_into_a_timeout(reply: Answer | NoAnswer) -> None:
    """8.4."""
    with (
        ScriptedRegistry(PING, Exchange("GET", LATEST, reply, times=2)) as registry,
        pytest.raises(RegistryUnavailable, match=r"sent nothing within the time allowed \(tries: 2\)"),
    ):
        fetch(registry, IMPATIENT)


def test_a_handshake_that_does_not_go_on_runs_into_a_timeout() -> None:
    """8.4: the registry takes the connection and says nothing of TLS."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        settings = RegistrySettings(plain_http=False)
        limits = structs.replace(IMPATIENT, connect_timeout=0.2)
        with pytest.raises(RegistryUnavailable, match=r"within the time allowed \(tries: 2\)"):
            client(host, limits=limits, settings=settings).fetch_manifest("latest")


def test_a_manifest_over_its_cap_is_refused() -> None:
    """8.4."""
    limits = structs.replace(QUICK, manifest_bytes=len(IMAGE.manifest) - 1)
    with (
        ScriptedRegistry(PING, Exchange("GET", LATEST, MANIFEST)) as registry,
        pytest.raises(ResponseInvalid, match=f"more than {limits.manifest_bytes} bytes"),
    ):
        fetch(registry, limits)
    with ScriptedRegistry(PING, Exchange("GET", LATEST, MANIFEST)) as registry:
        assert fetch(registry, structs.replace(limits, manifest_bytes=len(IMAGE.manifest))) == IMAGE.manifest


def test_an_error_body_without_end_is_cut() -> None:
    """8.4."""
    endless = iter(lambda: b"x" * 4096, b"")
    with (
        ScriptedRegistry(PING, Exchange("GET", LATEST, Answer(400, body=endless))) as registry,
        pytest.raises(RequestRefused, match=r"answered 400\. The words"),
    ):
        fetch(registry)


def test_the_registrys_words_are_shown_clean_and_short() -> None:
    """6.7."""
    said = "no\n\x1b[31mway\u202e " + "x" * 5000
    body = json.dumps({"errors": [{"code": "DENIED", "message": said}, {"code": "B", "detail": 1}]}).encode()
    with (
        ScriptedRegistry(PING, Exchange("GET", LATEST, Answer(403, body=body))) as registry,
        pytest.raises(AuthenticationRefused) as caught,
    ):
        fetch(registry)
    message = caught.value.message
    assert "(DENIED: no [31mway  xxx" in message
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.parametrize("body", [b"<html>", b'{"errors": "no"}', b'{"errors": [1]}', b"[" * 60_000, b"\xff"])
def test_an_error_body_that_is_none_is_ignored(body: bytes) -> None:
    with (
        ScriptedRegistry(PING, Exchange("GET", LATEST, Answer(404, body=body))) as registry,
        pytest.raises(NotFound, match="answered 404"),
    ):
        fetch(registry)


def test_every_request_says_what_it_can_read() -> None:
    """8.4: what is compressed on the way is not what was hashed."""
    accept = {"Accept": ", ".join(media_types.ACCEPT), "Accept-Encoding": "identity", "Cookie": None}
    first = Exchange("GET", LATEST, replace(MANIFEST, headers={"Set-Cookie": "a=b; Path=/"}))
    second = Exchange("GET", LATEST, MANIFEST, request_headers=accept)
    with ScriptedRegistry(PING, first, second) as registry:
        repository = client(registry.host)
        repository.fetch_manifest("latest")
        repository.fetch_manifest("latest")


def test_a_body_is_sent_whole_on_every_try() -> None:
    """8.3."""
    script = [Exchange("PUT", LATEST, reply, request_body=IMAGE.manifest) for reply in (Answer(503), Answer(201))]
    lost = Exchange("PUT", LATEST, NoAnswer.DROP, request_body=IMAGE.manifest)
    absent = Exchange("HEAD", LATEST, Answer(404), times=2)
    with ScriptedRegistry(PING, lost, absent, *script) as registry:
        client(registry.host, role="destination").push_manifest("latest", IMAGE.manifest, IMAGE.media_type)
    sent = {each.headers["Content-Length"] for each in registry.received if each.method == "PUT"}
    assert sent == {str(len(IMAGE.manifest))}


def test_a_registry_that_is_not_there_is_unavailable() -> None:
    """8.3."""
    with ScriptedRegistry() as registry:
        host = registry.host
    with pytest.raises(RegistryUnavailable, match=rf"GET {re.escape(host)}/v2/: connection refused \(tries: 3\)"):
        client(host).fetch_manifest("latest")


def test_a_name_that_nobody_knows_is_said_to_be_one() -> None:
    with pytest.raises(RegistryUnavailable, match="the name of the host cannot be resolved"):
        client("registry.invalid").fetch_manifest("latest")


def test_threads_share_one_ping() -> None:
    started = threading.Barrier(4)
    with ScriptedRegistry(PING, Exchange("GET", LATEST, MANIFEST, times=4)) as registry:
        registries = Registries(RegistryConfiguration(limits=QUICK))

        def run() -> None:
            started.wait()
            registries.repository(registry.host, NAME, "source").fetch_manifest("latest")

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("asked", ["7200", "999999999", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_wait_that_nobody_would_wait_for_ends_the_tries(asked: str) -> None:
    """8.3: 3,600 seconds are believed."""
    busy = Exchange("GET", LATEST, Answer(429, {"Retry-After": asked}))
    with ScriptedRegistry(PING, busy) as registry, pytest.raises(RateLimited, match="retry_after_limit") as caught:
        fetch(registry)
    assert (caught.value.retry, caught.value.retry_after) == (Retry.NEVER, 3600)
