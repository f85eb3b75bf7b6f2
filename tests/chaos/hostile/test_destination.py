"""A destination that takes no bytes, or never answers, leaves the other pushes of its worker at their pace (8.4)."""

import socket
import threading
from socketserver import StreamRequestHandler
from types import TracebackType

import pytest

from tests.chaos.hostile.neighbours import PLACES, HostileServer, push_well
from tests.chaos.site import Site, item
from tests.support.images import image, layer
from tests.support.processes import wait_until

_MIB = 1 << 20


class Destination(HostileServer):
    """An empty registry that takes nothing.

    It answers what planning asks. Of uploads it reads no byte of a big blob, and answers nothing of a small one.
    """

    def __init__(self, name: str) -> None:
        self.over = threading.Event()
        self.begun: set[bytes] = set()
        destination = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                while (line := self.rfile.readline()) and self._answer(line):
                    pass

            def _answer(self, line: bytes) -> bool:
                method, path, _ = line.split(b" ", 2)
                while self.rfile.readline().strip():
                    pass
                if method in {b"PUT", b"PATCH"}:
                    destination.begun.add(path)
                    destination.over.wait()
                    return False
                self.wfile.write(destination.reply(method, path))
                return True

        super().__init__(Handler)
        self._name = name
        # Small buffers: what is not read soon holds up its sender.
        self._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def reply(self, method: bytes, path: bytes) -> bytes:
        """Return an answer: the base of the API is there, a session opens, and nothing else is found."""
        if path == b"/v2/":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        if method == b"POST":
            place = b"/v2/%b/bad/blobs/uploads/%d" % (self._name.encode(), len(self.begun))
            return b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nRange: 0-0\r\nLocation: %b\r\n\r\n" % place
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        super().__exit__(kind, error, trace)


@pytest.mark.parametrize("size", [pytest.param(1000, id="no answers"), pytest.param(8 * _MIB, id="no bytes taken")])
def test_copies_to_a_destination_that_takes_nothing_leave_places_to_other_pushes(
    site: Site, name: str, size: int
) -> None:
    """Few may wait for it at once; the others go back to the queue meanwhile."""
    with Destination(name) as destination:
        items = []
        for number in range(3 * PLACES):
            source = site.put_a(f"{name}/src{number}", image("linux/amd64", [layer(f"{name}-{number}", size)]))
            items.append(item(source, {f"{destination.host}/{name}/bad": [str(number)]}))
        held_up = site.send({"items": items})
        wait_until(lambda: bool(destination.begun), "nothing was sent", 120)
        for number in range(2):
            push_well(site, f"{name}{number}")
        assert not site.ended(held_up)
        with site.cli("status", held_up, "--output", "json") as program:
            told, _ = program.communicate(timeout=300)
        assert "destination_slow" in told.decode()
