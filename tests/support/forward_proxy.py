"""A forward proxy as companies have one: tunnels for https, whole URLs for http, and names that it alone resolves."""

import select
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.support.certificates import Pair
from tests.support.serving import Serving

_REFUSED = 407
_PIECE = 65536


class ForwardProxy(Serving["_Server"]):
    """Serve on loopback while the context lasts; every host that it is asked for is 127.0.0.1.

    `ports` are the ports of hosts that are asked for without one. With `pair`, USER:PASSWORD, others are refused,
    and with `tls` it is spoken to by TLS. `asked` are the methods and hosts of all requests that it took.
    """

    def __init__(self, pair: str = "", ports: Mapping[str, int] | None = None, tls: Pair | None = None) -> None:
        super().__init__(_Server(("127.0.0.1", 0), _Handler))
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.certificate, tls.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.expected = f"Basic {b64encode(pair.encode()).decode()}" if pair else None
        self._server.ports = dict(ports or {})

    @property
    def asked(self) -> list[tuple[str, str]]:
        return self._server.asked


class _Server(ThreadingHTTPServer):
    expected: str | None = None

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.asked: list[tuple[str, str]] = []
        self.ports: dict[str, int] = {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._tunnel if name == "do_CONNECT" else self._forward
        raise AttributeError(name)

    def _tunnel(self) -> None:
        self.close_connection = True
        if self._admit(self.path):
            with socket.create_connection(("127.0.0.1", int(self.path.rpartition(":")[2]))) as there:
                self.send_response_only(200)
                self.end_headers()
                relay(self.connection, there)

    def _forward(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self._admit(parts.netloc):
            return
        there = HTTPConnection("127.0.0.1", parts.port or self.server.ports.get(parts.netloc, 80))
        kept = {name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")}
        there.request(self.command, self.path.partition(parts.netloc)[2], body, kept)
        answer = there.getresponse()
        content = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection"}:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        there.close()

    def _admit(self, host: str) -> bool:
        if self.server.expected not in {None, self.headers.get("Proxy-Authorization")}:
            self.send_response(_REFUSED)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return False
        self.server.asked.append((self.command, host))
        return True

    def log_message(self, *_: object) -> None:
        """Say nothing: the test's output is not the place."""


def relay(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until one side closes."""
    while True:
        for ready in select.select([one, other], [], [])[0]:
            piece = ready.recv(_PIECE)
            if not piece:
                return
            (other if ready is one else one).sendall(piece)
