"""A push of hostile sources leaves the other pushes of its worker at their pace (BEHAVIOUR 8.4)."""

import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from socketserver import BaseRequestHandler

import pytest

from tests.chaos.hostile.neighbours import PLACES, HostileServer, push_well
from tests.chaos.site import Site, item
from tests.support.images import Image, image, layer
from tests.support.processes import wait_until
from tests.support.scripted import Answer, ImprovisingRegistry, NoAnswer, Received, Reply

SOURCES = 64

Act = Callable[[socket.socket, threading.Event], None]


def say_nothing(_: socket.socket, over: threading.Event) -> None:
    over.wait()


def drip_headers(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not over.wait(0.2):
        connection.sendall(b"x")


def go_on_without_end(connection: socket.socket, over: threading.Event) -> None:
    while not over.wait(5):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


class Hostile:
    """Servers that hold up whoever asks them, each in its way, until the end."""

    def __init__(self, hosts: int) -> None:
        self._stack = ExitStack()
        self._over = threading.Event()
        self.asked = threading.Semaphore(0)
        acts = itertools.cycle((say_nothing, drip_headers, go_on_without_end))
        self.hosts = [self._serve(act) for act in itertools.islice(acts, hosts)]

    def _serve(self, act: Act) -> str:
        hostile = self

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                if self.request.recv(10_000):
                    hostile.asked.release()
                    with self.request:
                        act(self.request, hostile._over)

        return self._stack.enter_context(HostileServer(Handler)).host

    def close(self) -> None:
        self._over.set()
        self._stack.close()


@pytest.mark.parametrize("hosts", [1, SOURCES])
def test_sources_that_never_end_their_answers_hold_up_their_own_push(site: Site, name: str, hosts: int) -> None:
    """T12: while 64 sources say nothing, drip headers or say 100 without end, other pushes go through."""
    hostile = Hostile(hosts)
    try:
        where = itertools.islice(itertools.cycle(hostile.hosts), SOURCES)
        items = [
            item(f"{host}/{name}/src{number}:1", {f"{site.b.host}/{name}/bad": [str(number)]})
            for number, host in enumerate(where)
        ]
        held_up = site.send({"items": items})
        assert hostile.asked.acquire(timeout=120)
        for number in range(2):
            push_well(site, f"{name}{number}")
        assert not site.ended(held_up)
    finally:
        hostile.close()


@pytest.mark.parametrize("sizes", [(1000, 3 << 20), (3 << 20, 3 << 20)], ids=["small and big", "big"])
def test_layers_that_never_arrive_leave_places_to_other_pushes(site: Site, name: str, sizes: tuple[int, int]) -> None:
    """T12: of the copies from one source few may be slow at once; the others go back to the queue meanwhile.

    Big layers wait for their turn behind each other.
    """
    over = threading.Event()
    small = min(sizes)
    sources = [image("linux/amd64", [layer(f"{name}-{number}", sizes[number % 2])]) for number in range(3 * PLACES)]
    asked: set[str] = set()

    def drip() -> Iterator[bytes]:
        yield b"x"
        while not over.wait(0.2):
            yield b"x"

    def answer(received: Received) -> Reply:
        found = serve(sources, received)
        if found is not None:
            return found
        asked.add(received.path)
        if len(asked) % 2:
            return NoAnswer.STALL
        return Answer(200, {"Content-Length": str(small)}, drip())

    with ImprovisingRegistry(answer) as hostile:
        try:
            items = [
                item(f"{hostile.host}/{name}/src:{number}", {f"{site.b.host}/{name}/bad": [str(number)]})
                for number in range(len(sources))
            ]
            held_up = site.send({"items": items})
            wait_until(lambda: len(asked) >= 2, "the layers were not asked for", 120)
            for number in range(2):
                push_well(site, f"{name}{number}")
            assert not site.ended(held_up)
            with site.cli("status", held_up, "--output", "json") as program:
                told, _ = program.communicate(timeout=300)
            assert "source_slow" in told.decode()
        finally:
            over.set()


def test_a_layer_that_drips_holds_up_no_other_source_of_it(site: Site, name: str) -> None:
    """T12: who waits for the layer from the hostile source takes it from its own when that one is slow."""
    shared = image("linux/amd64", [layer(f"{name}-shared", 1000)])
    over, asked = threading.Event(), threading.Event()

    def drip() -> Iterator[bytes]:
        while not over.wait(0.2):
            yield b"x"

    def answer(received: Received) -> Reply:
        found = serve([shared], received)
        if found is not None:
            return found
        if received.method == "GET":
            asked.set()
        return Answer(200, {"Content-Length": str(shared.document["layers"][0]["size"])}, drip())

    good = {f"{site.b.host}/{name}/good": ["1"]}
    with ImprovisingRegistry(answer) as hostile:
        try:
            held_up = site.send({"items": [item(f"{hostile.host}/{name}/src:0", {f"{site.b.host}/{name}/bad": ["1"]})]})
            assert asked.wait(120)
            report = site.report(site.send({"items": [item(site.put_a(f"{name}/good", shared), good)]}))
            assert report["state"] == "succeeded"
            site.judge(report)
            assert not site.ended(held_up)
        finally:
            over.set()


def serve(sources: list[Image], received: Received) -> Reply | None:
    """Answer a request for a manifest or a configuration; None for that of a layer."""
    path = received.path
    if path == "/v2/":
        return Answer(200)
    reference = path.rpartition("/")[2]
    if "/manifests/" in path:
        found = next((each for number, each in enumerate(sources) if reference in {str(number), each.digest}), None)
        if found is None:
            return Answer(404)
        headers = {"Content-Type": found.media_type, "Docker-Content-Digest": found.digest}
        return Answer(200, headers, found.manifest)
    if "/blobs/" not in path:
        return Answer(404)
    for each in sources:
        if reference == each.document["config"]["digest"]:
            return Answer(200, {}, each.blobs[reference])
    return None
