import http.client
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
import requests

from tests.conftest import MakeRegistry
from tests.support.faults import Chosen, Fault, Kind
from tests.support.faulty_proxy import FaultyProxy, flip
from tests.support.images import OCI_MANIFEST, digest_of, image, layer
from tests.support.registries import DistributionRegistry, TokenAuth
from tests.support.stored import Stored, upload
from tests.support.token_server import TokenServer

MakeProxy = Callable[..., FaultyProxy]
CONTENT = layer("faulty", 300_000).content
DIGEST = digest_of(CONTENT)
ACCEPT = {"Accept": OCI_MANIFEST}


@pytest.fixture
def proxied(registry_a: DistributionRegistry) -> Iterator[MakeProxy]:
    """Start a proxy before registry A that injects one fault."""
    with ExitStack() as running:
        yield lambda kind, **more: running.enter_context(FaultyProxy(registry_a.host, Chosen(Fault(kind, **more))))


def put(host: str, name: str, content: bytes = CONTENT) -> requests.Response:
    """Upload a blob the shortest way and return the answer to its commit."""
    opened = requests.post(f"http://{host}/v2/{name}/blobs/uploads/", timeout=10)
    return requests.put(f"{opened.headers['Location']}&digest={digest_of(content)}", data=content, timeout=3)


def get(proxy: FaultyProxy, name: str) -> requests.Response:
    return requests.get(f"{proxy.url}/v2/{name}/blobs/{DIGEST}", timeout=3)


def test_without_a_fault_an_image_passes_and_clients_stay_on_the_proxy(
    registry_a: DistributionRegistry, name: str
) -> None:
    made = image(layers=[layer(name, 100_000)])
    with FaultyProxy(registry_a.host, Chosen()) as proxy:
        upload(proxy.host, name, made, "1")
        assert made.digest in Stored(proxy.host).holds(name, "1")
        opened = requests.post(f"{proxy.url}/v2/{name}/blobs/uploads/", timeout=10)
        assert urlsplit(opened.headers["Location"]).netloc == proxy.host
        answer = requests.head(f"{proxy.url}/v2/{name}/manifests/1", headers=ACCEPT, timeout=10)
        assert int(answer.headers["Content-Length"]) == len(made.manifest)
        assert proxy.injected == []
        assert not proxy.faults


@pytest.mark.parametrize("at", [0.0, 0.5, 0.999])
def test_a_request_that_is_reset_stores_nothing(
    proxied: MakeProxy, registry_a: DistributionRegistry, name: str, at: float
) -> None:
    proxy = proxied(Kind.RESET_REQUEST, method="PUT", at=at)
    with pytest.raises(requests.ConnectionError):
        put(proxy.host, name)
    assert Stored(registry_a.host).blob(name, DIGEST)[0] == 404
    assert put(proxy.host, name).status_code == 201


def test_a_request_that_stalls_stores_nothing(proxied: MakeProxy, registry_a: DistributionRegistry, name: str) -> None:
    proxy = proxied(Kind.STALL_REQUEST, method="PUT")
    with pytest.raises((requests.Timeout, requests.ConnectionError)):
        put(proxy.host, name)
    assert Stored(registry_a.host).blob(name, DIGEST)[0] == 404


@pytest.mark.parametrize(
    ("kind", "more", "status"),
    [
        (Kind.RESET_ANSWER, {"at": 0.0}, None),
        (Kind.STALL_ANSWER, {"at": 0.0}, None),
        (Kind.DENIED, {"status": 500}, 500),
    ],
)
def test_a_commit_without_its_answer_is_stored(
    proxied: MakeProxy,
    registry_a: DistributionRegistry,
    name: str,
    kind: Kind,
    more: dict[str, float],
    status: int | None,
) -> None:
    proxy = proxied(kind, method="PUT", **more)
    try:
        assert put(proxy.host, name).status_code == status
    except (requests.ConnectionError, requests.Timeout):
        assert status is None
    assert Stored(registry_a.host).blob(name, DIGEST) == (200, CONTENT)


@pytest.mark.parametrize("kind", [Kind.RESET_ANSWER, Kind.STALL_ANSWER, Kind.CUT])
@pytest.mark.parametrize("at", [0.0, 0.3, 0.9])
def test_an_answer_that_ends_early_is_noticed(
    proxied: MakeProxy, registry_a: DistributionRegistry, name: str, kind: Kind, at: float
) -> None:
    put(registry_a.host, name)
    proxy = proxied(kind, at=at)
    with pytest.raises((requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)):
        get(proxy, name)
    assert get(proxy, name).content == CONTENT


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind.TRUNCATED, CONTENT[: len(CONTENT) // 2]),
        (Kind.GROWN, CONTENT + b"more"),
        (Kind.FLIPPED, flip(CONTENT, 0.5)),
    ],
)
def test_an_answer_with_other_bytes_looks_right(
    proxied: MakeProxy, registry_a: DistributionRegistry, name: str, kind: Kind, expected: bytes
) -> None:
    put(registry_a.host, name)
    answer = get(proxied(kind), name)
    assert (answer.status_code, answer.content) == (200, expected)
    assert answer.headers["Content-Length"] == str(len(expected))


def test_a_longer_answer_goes_on_after_its_declared_end(
    proxied: MakeProxy, registry_a: DistributionRegistry, name: str
) -> None:
    put(registry_a.host, name)
    with socket.create_connection(("127.0.0.1", int(proxied(Kind.LONGER).host.rpartition(":")[2]))) as client:
        client.sendall(f"GET /v2/{name}/blobs/{DIGEST} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
        head, _, body = b"".join(iter(lambda: client.recv(1 << 16), b"")).partition(b"\r\n\r\n")
    assert body == CONTENT + b"more"
    assert f"Content-Length: {len(CONTENT)}".encode() in head


def test_a_flipped_upload_is_refused_by_the_registry(proxied: MakeProxy, name: str) -> None:
    answer = put(proxied(Kind.FLIPPED_REQUEST, method="PUT").host, name)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "DIGEST_INVALID")


def test_a_lost_session_is_gone_at_the_registry(proxied: MakeProxy, name: str) -> None:
    answer = put(proxied(Kind.LOST_SESSION, method="PUT").host, name)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_burst_of_refusals_ends(proxied: MakeProxy, status: int) -> None:
    proxy = proxied(Kind.REFUSED, status=status, times=2)
    assert [requests.get(f"{proxy.url}/v2/", timeout=5).status_code for _ in range(3)] == [status, status, 200]


@pytest.mark.parametrize(
    ("shape", "retry_after", "media_type"),
    [
        ("seconds", "7", "application/json"),
        ("date", "GMT", "application/json"),
        ("none", "", "application/json"),
        ("html", "", "text/html"),
    ],
)
def test_a_limit_has_every_shape(proxied: MakeProxy, shape: str, retry_after: str, media_type: str) -> None:
    answer = requests.get(f"{proxied(Kind.LIMITED, retry_after=shape, seconds=7).url}/v2/", timeout=5)
    assert answer.status_code == 429
    assert answer.headers.get("Retry-After", "").endswith(retry_after)
    assert answer.headers["Content-Type"] == media_type


def test_a_redirect_leads_to_another_host_that_remembers_credentials(
    proxied: MakeProxy, registry_a: DistributionRegistry, name: str
) -> None:
    put(registry_a.host, name)
    proxy = proxied(Kind.REDIRECTED)
    answer = get(proxy, name)
    assert answer.content == CONTENT
    assert urlsplit(answer.url).netloc == proxy.elsewhere.host != proxy.host
    assert proxy.elsewhere.authorizations == [None]


def test_an_expired_token_is_challenged_by_the_registry_itself(make_registry: MakeRegistry, name: str) -> None:
    with TokenServer({"ann": "secret"}) as server:
        registry = make_registry(auth=TokenAuth(server))
        auth = server.bearer("ann", name)
        upload(registry.host, name, image(), "1", auth=auth)
        with FaultyProxy(registry.host, Chosen(Fault(Kind.EXPIRED_TOKEN, "GET"))) as proxy:
            url = f"{proxy.url}/v2/{name}/manifests/1"
            answers = [requests.get(url, auth=auth, headers=ACCEPT, timeout=5) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [401, 200]
    assert server.realm in answers[0].headers["WWW-Authenticate"]


def test_faults_are_listed_with_the_requests_that_they_met(proxied: MakeProxy) -> None:
    proxy = proxied(Kind.REFUSED, path="/v2/", nth=2)
    for _ in range(3):
        requests.get(f"{proxy.url}/v2/", timeout=5)
    assert proxy.story() == "REFUSED 503, injected:\nREFUSED 503: GET /v2/"


def test_a_proxy_ends_with_a_client_that_waits(proxied: MakeProxy, registry_a: DistributionRegistry) -> None:
    with FaultyProxy(registry_a.host, Chosen(Fault(Kind.STALL_ANSWER, at=0.0))) as proxy:
        connection = http.client.HTTPConnection(proxy.host, timeout=30)
        connection.request("GET", "/v2/")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        connection.getresponse()
    connection.close()
