"""What goes over the wire, and which connections it takes (BEHAVIOUR 8)."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from msgspec import structs

from tasks.errors import AddressForbidden, RegistryUnavailable
from tasks.registry.http.connections import Connections
from tasks.registry.http.route import target_of
from tasks.registry.settings import RegistrySettings
from tests.support.images import image
from tests.support.scripted import Answer, Exchange, Received, ScriptedRegistry
from tests.unit.registry.clients import PING, QUICK, blob_of, blob_path, client, manifest_path

IMAGE = image()
MANIFEST = Answer(200, {"Content-Type": IMAGE.media_type}, IMAGE.manifest)
LATEST = manifest_path("latest")
SIGNED = "/a%2fb/../c;d//e?sig=x%2Fy%2fz%7e+=&list=[1]|{2}&empty="
PUBLIC, PRIVATE = "192.0.43.8", "10.0.0.1"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (f"https://host{SIGNED}", SIGNED),
        (f"https://host:5000{SIGNED}#part", SIGNED),
        ("http://[::1]:5000/v2/?", "/v2/?"),
        ("http://host", "/"),
        ("http://host?a=http://other/", "/?a=http://other/"),
    ],
)
def test_a_target_is_what_follows_the_host(url: str, target: str) -> None:
    """A Location is used to the letter."""
    assert target_of(url) == target


def test_a_signed_url_is_sent_to_the_letter() -> None:
    """One that is quoted anew is no longer what was signed."""
    with ScriptedRegistry(Exchange("GET", SIGNED, MANIFEST)) as elsewhere:
        moved = Answer(307, {"Location": f"{elsewhere.url}{SIGNED}"})
        with ScriptedRegistry(PING, Exchange("GET", LATEST, moved)) as registry:
            assert client(registry.host).fetch_manifest("latest").content == IMAGE.manifest


def test_a_thread_asks_over_one_connection() -> None:
    """Connections are kept alive, whatever the answer was."""
    content = b"content"
    script = [
        Exchange("HEAD", LATEST, Answer(404)),
        Exchange("GET", LATEST, Answer(503, body=b"{}")),
        Exchange("GET", LATEST, MANIFEST),
        Exchange("GET", blob_path(content), Answer(body=content)),
        Exchange("DELETE", LATEST, Answer(202)),
    ]
    with ScriptedRegistry(PING, *script, ordered=True) as registry:
        repository = client(registry.host)
        assert repository.resolve("latest") is None
        repository.fetch_manifest("latest")
        assert repository.read_blob(blob_of(content), 10) == content
        assert repository.delete_tag("latest")
    assert len({each.connection for each in registry.received}) == 1


def test_a_connection_with_unread_content_is_not_used_again() -> None:
    content = b"x" * 1_000_000
    script = [Exchange("GET", blob_path(content), Answer(body=content)), Exchange("GET", LATEST, MANIFEST)]
    with ScriptedRegistry(PING, *script) as registry:
        repository = client(registry.host)
        with repository.open_blob(blob_of(content)) as reader:
            assert reader.read_piece()
        repository.fetch_manifest("latest")
    first, second, third = (each.connection for each in registry.received)
    assert (first == second, second == third) == (True, False)


def test_what_follows_the_declared_end_is_neither_content_nor_the_next_answer() -> None:
    """8.4."""

    def longer() -> Iterator[bytes]:
        yield IMAGE.manifest[:10]
        time.sleep(0.05)
        yield IMAGE.manifest[10:] + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

    declared = {"Content-Type": IMAGE.media_type, "Content-Length": str(len(IMAGE.manifest))}
    script = [Exchange("GET", LATEST, Answer(200, declared, longer())), Exchange("GET", LATEST, MANIFEST)]
    with ScriptedRegistry(PING, *script, ordered=True) as registry:
        repository = client(registry.host)
        assert [repository.fetch_manifest("latest").content for _ in range(2)] == [IMAGE.manifest] * 2


def test_threads_that_ask_one_after_the_other_share_a_connection() -> None:
    """A handshake of TLS takes longer than most requests."""
    with ScriptedRegistry(PING, Exchange("GET", LATEST, MANIFEST, times=3)) as registry:
        repository = client(registry.host)
        for _ in range(3):
            thread = threading.Thread(target=repository.fetch_manifest, args=("latest",))
            thread.start()
            thread.join()
    assert len(registry.received) == 4
    assert len({each.connection for each in registry.received}) == 1


def test_threads_that_ask_at_once_have_connections_of_their_own() -> None:
    both = threading.Barrier(2)

    def together(_: Received) -> Answer:
        both.wait(10)
        return MANIFEST

    with ScriptedRegistry(PING, Exchange("GET", LATEST, together, times=2)) as registry:
        repository = client(registry.host)
        threads = [threading.Thread(target=repository.fetch_manifest, args=("latest",)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [("POST", None, "0"), ("PUT", b"", "0"), ("PUT", b"abc", "3"), ("GET", None, None), ("DELETE", None, None)],
)
def test_a_request_says_how_long_its_content_is(method: str, body: bytes | None, length: str | None) -> None:
    """RFC 9110, 8.6: also that a write has none."""
    wanted = {"Content-Length": length, "Transfer-Encoding": None, "Accept-Encoding": "identity"}
    with ScriptedRegistry(Exchange(method, "/x", Answer(204), request_headers=wanted)) as registry:
        answer = connections(registry.host).exchange(method, f"{registry.url}/x", {}, body)
        assert (answer.status, answer.read(10, 10)) == (204, b"")
    assert registry.received[0].body == (body or b"")


@pytest.mark.parametrize("kept", [True, False])
def test_a_body_may_be_taken_slowly(*, kept: bool) -> None:
    """8.4: a registry may idle for the idle timeout, over a connection that is open already or a new one."""

    def slowly(_: Received) -> Answer:
        time.sleep(0.4)
        return Answer(201)

    ping = replace(PING, answer=Answer(200, close=not kept))
    # More than the buffers of both ends take.
    body = b"x" * 20_000_000
    limits = structs.replace(QUICK, connect_timeout=0.1, tries=1, manifest_bytes=len(body))
    with ScriptedRegistry(ping, Exchange("PUT", LATEST, slowly, read=0)) as registry:
        client(registry.host, limits=limits).push_manifest("latest", body, IMAGE.media_type)
    assert len({each.connection for each in registry.received}) == (1 if kept else 2)


@pytest.mark.parametrize("status", [200, 400])
def test_an_answer_that_trickles_without_end_is_given_up(status: int) -> None:
    """8.4: each byte comes within the idle timeout."""

    def trickle() -> Iterator[bytes]:
        while True:
            yield b" "
            time.sleep(0.02)

    limits = structs.replace(QUICK, answer_timeout=0.1, tries=1)
    with (
        ScriptedRegistry(PING, Exchange("GET", LATEST, Answer(status, body=trickle()))) as registry,
        pytest.raises(RegistryUnavailable, match=r"took longer than 0\.1 seconds"),
    ):
        client(registry.host, limits=limits).fetch_manifest("latest")


def test_what_is_only_for_tls_waits_for_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading the authorities takes longer than copying a small image."""
    monkeypatch.delattr("tasks.registry.http.tls.tls_context")
    with ScriptedRegistry(PING, Exchange("GET", LATEST, MANIFEST)) as registry:
        client(registry.host).fetch_manifest("latest")


def connections(host: str = "registry.example:5000") -> Connections:
    return Connections(host, RegistrySettings(), QUICK)


def test_a_registry_within_may_lead_within() -> None:
    """8.2: the registry and the realm of a company, say."""
    subject = connections()
    subject._connected("registry.example", PRIVATE)
    subject._connected("auth.example", PRIVATE)


@pytest.mark.parametrize("address", [PRIVATE, "127.0.0.1", "169.254.169.254", "::1", "fe80::1%eth0", "::ffff:10.0.0.1"])
def test_a_registry_outside_never_leads_within(address: str) -> None:
    """8.2: whatever name stands for the address."""
    subject = connections()
    subject._connected("registry.example", PUBLIC)
    subject._connected("cdn.example", PUBLIC)
    with pytest.raises(AddressForbidden, match=r"registry\.example:5000 leads to cdn\.example, which is an inward"):
        subject._connected("cdn.example", address)


def test_a_name_that_changes_sides_opens_nothing() -> None:
    """8.2: whoever owns a name can let it stand for an inward address for a moment."""
    subject = connections()
    subject._connected("registry.example", PUBLIC)
    for host in ("registry.example", "cdn.example"):
        with pytest.raises(AddressForbidden):
            subject._connected(host, PRIVATE)


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "100.100.100.200"])
def test_a_registry_within_never_leads_to_where_no_registry_is(address: str) -> None:
    """8.2: whatever name stands for the address."""
    subject = connections()
    subject._connected("registry.example", PRIVATE)
    with pytest.raises(AddressForbidden, match=r"auth\.example is at .*, where no registry is"):
        subject._connected("auth.example", address)


@pytest.mark.parametrize("host", ["[::1]:5000", "[::1]", "LOCALHOST:5000"])
def test_a_registry_is_recognised_by_its_host(host: str) -> None:
    """1.3: an IPv6 host is one too."""
    subject = connections(host)
    subject._connected(host.removesuffix(":5000").strip("[]"), "::1")
    subject._connected("other", "::1")


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]:80", "metadata.google.internal", "0xa9fea9fe"])
def test_the_metadata_of_a_cloud_are_not_asked_by_a_proxy_either(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """8.2: a request may name such a host as the registry itself; no connection is opened."""
    with ScriptedRegistry() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        subject = Connections(host, RegistrySettings(proxy="environment"), QUICK)
        with pytest.raises(AddressForbidden, match="where no registry is"):
            subject.exchange("GET", f"http://{host}/v2/", {})
