"""A public registry never leads its client to addresses that only the client can reach (BEHAVIOUR 8.2).

Names resolve as a table says, and connect to a server of the test, which passes for the address in the table.
"""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tasks.errors import AddressForbidden, ImagePusherError
from tasks.registry.http.connections import Connections
from tasks.registry.repository import Repository
from tasks.registry.settings import RegistrySettings
from tests.support.images import image
from tests.support.readers import MemoryReader
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.unit.registry.clients import NAME, SESSION, UPLOADS, USER, blob_of, blob_path, client, manifest_path

IMAGE = image()
CONTENT = b"content"
PUBLIC, PUBLIC_TOO = "192.0.43.8", "2001:500:88:200::8"
LATEST = manifest_path("latest")
PING = Exchange("GET", "/v2/", times=None)
LITERAL = [
    "127.0.0.1",
    "localhost",
    "LOCALHOST.",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[fe80::1]",
    "[fd00::1]",
    "0.0.0.0",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "127.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "metadata.google.internal",
    "printer.local",
    "redis",
]
INWARD = ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254", "fe80::1%eth0", "fd00::1", "0.0.0.0"]
CONNECT = socket.create_connection


@dataclass
class Network:
    """Where names lead: the address that they seem to have, and the port of this machine that answers."""

    names: dict[str, tuple[str, int]] = field(default_factory=dict)
    dialled: list[str] = field(default_factory=list)

    def add(self, name: str, address: str, server: ScriptedRegistry) -> None:
        self.names[name] = (address, int(server.host.rpartition(":")[2]))

    def connect(self, address: tuple[bytes, int], *_: Any, **__: Any) -> socket.socket:
        name = address[0].decode()
        self.dialled.append(name)
        return CONNECT(("127.0.0.1", self.names[name][1]), timeout=10)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    made = Network()
    look = Connections._connected
    monkeypatch.setattr(socket, "create_connection", made.connect)
    monkeypatch.setattr(Connections, "_connected", lambda self, host, _: look(self, host, made.names[host][0]))
    return made


@pytest.fixture
def registry(network: Network) -> Iterator[ScriptedRegistry]:
    with ScriptedRegistry(PING) as server:
        network.add("registry.example", PUBLIC, server)
        yield server


@pytest.fixture
def inner() -> Iterator[ScriptedRegistry]:
    """Return what must not be asked for anything."""
    with ScriptedRegistry() as server:
        yield server


def repository() -> Repository:
    settings = RegistrySettings(plain_http=True, credentials=USER)
    return client("registry.example", role="destination", push=True, settings=settings)


def by_redirect(registry: ScriptedRegistry, url: str) -> None:
    registry.expect(Exchange("GET", LATEST, Answer(307, {"Location": url})))
    repository().fetch_manifest("latest")


def by_redirect_of_a_write(registry: ScriptedRegistry, url: str) -> None:
    registry.expect(Exchange("PUT", LATEST, Answer(307, {"Location": url})))
    repository().push_manifest("latest", IMAGE.manifest, IMAGE.media_type)


def by_a_second_redirect(registry: ScriptedRegistry, url: str) -> None:
    registry.expect(
        Exchange("GET", blob_path(CONTENT), Answer(307, {"Location": "http://registry.example/once"})),
        Exchange("GET", "/once", Answer(302, {"Location": url})),
    )
    repository().open_blob(blob_of(CONTENT))


def by_location_of_an_upload(registry: ScriptedRegistry, url: str) -> None:
    registry.expect(Exchange("POST", UPLOADS, Answer(202, {"Location": url})))
    repository().blob_upload(blob_of(CONTENT), MemoryReader(CONTENT), lambda _: None).run()


def by_location_of_a_mount(registry: ScriptedRegistry, url: str) -> None:
    registry.expect(Exchange("POST", UPLOADS, Answer(202, {"Location": url})))
    destination = repository()
    session = destination.mount_blob(blob_of(CONTENT).digest, "other")
    destination.blob_upload(blob_of(CONTENT), MemoryReader(CONTENT), lambda _: None, session).run()


def by_location_of_a_status(registry: ScriptedRegistry, url: str) -> None:
    registry.expect(
        Exchange("POST", UPLOADS, Answer(202, {"Location": SESSION})),
        Exchange("PUT", SESSION, Answer(429)),
        Exchange("GET", SESSION, Answer(204, {"Location": url, "Range": "0-0"})),
    )
    repository().blob_upload(blob_of(CONTENT), MemoryReader(CONTENT), lambda _: None).run()


def by_location_of_a_patch(registry: ScriptedRegistry, url: str) -> None:
    registry.expect(
        Exchange("POST", UPLOADS, Answer(202, {"Location": SESSION}), times=2),
        Exchange("PUT", SESSION, Answer(405)),
        Exchange("PATCH", SESSION, Answer(202, {"Location": url, "Range": f"0-{len(CONTENT) - 1}"})),
        Exchange("DELETE", SESSION, Answer(204)),
    )
    repository().blob_upload(blob_of(CONTENT), MemoryReader(CONTENT), lambda _: None).run()


def by_link(registry: ScriptedRegistry, url: str) -> None:
    first = Answer(200, {"Link": f'<{url}>; rel="next"'}, json.dumps({"tags": ["a"]}).encode())
    registry.expect(Exchange("GET", f"/v2/{NAME}/tags/list", first))
    repository().tags()


def by_realm(registry: ScriptedRegistry, url: str) -> None:
    registry.expect(Exchange("GET", LATEST, Answer(401, {"WWW-Authenticate": f'Bearer realm="{url}"'})))
    repository().fetch_manifest("latest")


WAYS = [
    by_redirect,
    by_redirect_of_a_write,
    by_a_second_redirect,
    by_location_of_an_upload,
    by_location_of_a_mount,
    by_location_of_a_status,
    by_location_of_a_patch,
    by_link,
    by_realm,
]
# What is refused is told by one function for all ways: each way is tried, and one way with all that there is.
way = pytest.mark.parametrize("way", WAYS, ids=lambda each: each.__name__)


def leads_nowhere(way: Any, host: str, registry: ScriptedRegistry, network: Network) -> None:
    with pytest.raises(AddressForbidden, match=r"registry\.example leads to .*, an address that only this side"):
        way(registry, f"http://{host}:6379/x")
    assert set(network.dialled) == {"registry.example"}


@way
def test_no_way_leads_to_an_address_within(way: Any, registry: ScriptedRegistry, network: Network) -> None:
    leads_nowhere(way, "169.254.169.254", registry, network)


@pytest.mark.parametrize("host", LITERAL)
def test_no_form_of_an_address_within_is_led_to(host: str, registry: ScriptedRegistry, network: Network) -> None:
    leads_nowhere(by_redirect, host, registry, network)


@pytest.mark.parametrize(
    ("way", "address"), [(each, "127.0.0.1") for each in WAYS] + [(by_redirect, address) for address in INWARD]
)
def test_no_way_leads_to_a_name_of_an_address_within(
    way: Any, address: str, registry: ScriptedRegistry, inner: ScriptedRegistry, network: Network
) -> None:
    """Only the connection shows it; nothing is sent over it."""
    network.add("cdn.example", address, inner)
    with pytest.raises(AddressForbidden, match=r"registry\.example leads to cdn\.example, which is an inward address"):
        way(registry, "http://cdn.example/x")
    assert inner.received == []


def test_an_address_within_hears_nothing_of_tls_either(registry: ScriptedRegistry, network: Network) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        network.names["cdn.example"] = ("127.0.0.1", listening.getsockname()[1])
        with pytest.raises(AddressForbidden):
            by_redirect(registry, "https://cdn.example/x")
        opened, _ = listening.accept()
        with opened:
            assert opened.recv(1) == b""


@way
def test_a_name_is_looked_at_each_time_it_is_resolved(
    way: Any, registry: ScriptedRegistry, inner: ScriptedRegistry, network: Network
) -> None:
    """The first answer of its owner's name server was harmless."""
    with ScriptedRegistry(
        Exchange("GET", "/x", Answer(200, {"Content-Type": IMAGE.media_type}, IMAGE.manifest))
    ) as cdn:
        network.add("cdn.example", PUBLIC_TOO, cdn)
        by_redirect(registry, "http://cdn.example/x")
    network.add("cdn.example", "127.0.0.1", inner)
    with pytest.raises(AddressForbidden):
        way(registry, "http://cdn.example/x")


UNCLEAR = [
    "file:///etc/passwd",
    "gopher://cdn.example/x",
    "http://cdn.example@127.0.0.1/x",
    "http://127.0.0.1\\@cdn.example/x",
    "http://cdn.example:80:80/x",
    "http://[::1/x",
    "http://\u2460\u2461\u2466.0.0.1/x",
    "http:///x",
    "//127.0.0.1/x",
    "http://cdn.example\t.local/x",
]


@pytest.mark.parametrize(
    ("way", "url"), [(each, UNCLEAR[2]) for each in WAYS] + [(by_redirect, url) for url in UNCLEAR]
)
def test_no_way_leads_to_what_is_no_clear_address(
    way: Any, url: str, registry: ScriptedRegistry, network: Network
) -> None:
    # As a header carries it: the bytes of UTF-8, one character each.
    carried = url.encode().decode("latin-1")
    with pytest.raises(ImagePusherError) as caught:
        way(registry, carried)
    assert set(network.dialled) == {"registry.example"}
    assert caught.value.code in {"address_forbidden", "response_invalid"}


def test_ways_within_a_company_stay_open(registry: ScriptedRegistry, network: Network) -> None:
    """A registry that is inward itself may lead anywhere inward."""
    network.names["registry.example"] = ("10.0.0.1", network.names["registry.example"][1])
    stored = Exchange("GET", "/x", Answer(200, {"Content-Type": IMAGE.media_type}, IMAGE.manifest))
    with ScriptedRegistry(stored) as storage:
        network.add("storage.example", "10.0.0.2", storage)
        by_redirect(registry, "http://storage.example/x")
