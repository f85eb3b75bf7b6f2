import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import requests

from tests.support.delaying_proxy import DelayingProxy
from tests.support.images import image, layer
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Accept one connection and give it to `answer` in a thread; yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def connect(proxy: DelayingProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.process.port), timeout=10)


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_an_image_passes_unchanged_over_many_connections(registry_a: DistributionRegistry, name: str) -> None:
    made = image(layers=[layer(f"{name}-{number}", 3 << 20) for number in range(4)])
    with DelayingProxy(registry_a.host, 1) as proxy:
        threads = [
            threading.Thread(target=upload, args=(proxy.host, f"{name}/{number}", made, "1")) for number in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number in range(4):
            assert made.digest in Stored(proxy.host).holds(f"{name}/{number}", "1")


def test_the_registry_names_the_proxy_in_its_locations(registry_a: DistributionRegistry, name: str) -> None:
    with DelayingProxy(registry_a.host, 0) as proxy:
        opened = requests.post(f"{proxy.url}/v2/{name}/blobs/uploads/", timeout=10)
        assert opened.headers["Location"].startswith(f"{proxy.url}/")


def test_each_way_is_delayed_and_a_connection_costs_a_round_trip(registry_a: DistributionRegistry) -> None:
    with DelayingProxy(registry_a.host, 30) as proxy, requests.Session() as session:
        # Lower bounds only: a machine under load adds to them.
        for expected in (4 * 0.03, 2 * 0.03):
            started = time.monotonic()
            session.get(f"{proxy.url}/v2/", timeout=10)
            assert time.monotonic() - started >= expected - 0.001


def test_more_passes_than_the_proxy_holds_at_once() -> None:
    sent = bytes(80 << 20)
    with (
        serving(lambda connection: connection.sendall(hashlib.sha256(read_all(connection)).digest())) as address,
        DelayingProxy(address, 5) as proxy,
        connect(proxy) as client,
    ):
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == hashlib.sha256(sent).digest()


def test_an_end_of_one_direction_leaves_the_other_open() -> None:
    def answer(connection: socket.socket) -> None:
        assert read_all(connection) == b"question"
        connection.sendall(b"answer")

    with serving(answer) as address, DelayingProxy(address, 1) as proxy, connect(proxy) as client:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"answer"


def test_a_registry_that_is_gone_ends_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    # It may end in order or not.
    with DelayingProxy(address, 1) as proxy, connect(proxy) as client, suppress(ConnectionError):
        assert client.recv(1) == b""


def test_the_process_ends_with_the_context() -> None:
    with DelayingProxy("127.0.0.1:1", 1) as proxy:
        assert proxy.process.running
    assert not proxy.process.running
