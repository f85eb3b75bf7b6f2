"""An HTTP server in threads of this process, on a free loopback port, that ends with all of its connections."""

import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self

from tests.support.certificates import Certificates

PIECE = 1 << 16


class Handler(BaseHTTPRequestHandler):
    """Speak HTTP/1.1 without a word on stderr; subclasses add `do_…` methods."""

    protocol_version = "HTTP/1.1"
    # An answer leaves in as few packets as it is written in: without this a small body waits for an ACK.
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, format: str, *args: Any) -> None:  # the name is http.server's  # noqa: A002 - the name is http.server's
        pass

    def body_pieces(self) -> Iterator[bytes]:
        """Yield the request's body, chunked or not, in pieces of up to 64 KiB; a client that leaves ends it."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield from self._pieces(int(self.headers.get("Content-Length", "0")))
            return
        while (line := self.rfile.readline()) and (size := int(line.split(b";")[0], 16)):
            yield from self._pieces(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def _pieces(self, left: int) -> Iterator[bytes]:
        while left and (piece := self.rfile.read(min(left, PIECE))):
            left -= len(piece)
            yield piece


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True
    request_queue_size = 128

    def __init__(self, handler: type[Handler], context: ssl.SSLContext | None) -> None:
        self.faults: list[BaseException] = []
        self.context = context
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.context is not None:
            # The handshake waits for the connection's own thread: a silent client must not hold up the others.
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._guard:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        # A client that goes away, or refuses the certificate, is part of many tests.
        if error is not None and not isinstance(error, OSError):
            self.faults.append(error)

    def end(self) -> None:
        self.shutdown()
        with self._guard:
            connections = list(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self.server_close()


# A client that outlives a server remembers what it has learnt of its host, and would take another one for it.
_USED_PORTS: set[int] = set()


def _server_on_a_port_of_its_own(handler: type[Handler], context: ssl.SSLContext | None) -> _Server:
    while True:
        server = _Server(handler, context)
        if server.server_port not in _USED_PORTS:
            _USED_PORTS.add(server.server_port)
            return server
        server.server_close()


class LoopbackServer:
    """Serve `handler` while the context lasts; the port is bound from the construction on, and never used again."""

    handler: ClassVar[type[Handler]]

    def __init__(self, *, tls: Certificates | None = None) -> None:
        owner = self
        handler = type(self.handler.__name__, (self.handler,), {"owner": owner})
        self._scheme = "https" if tls else "http"
        self._server = _server_on_a_port_of_its_own(handler, _context(tls) if tls else None)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self._scheme}://{self.host}"

    @property
    def faults(self) -> list[BaseException]:
        """Return what went wrong inside handlers, but for clients that went away."""
        return self._server.faults

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.end()
        self._thread.join()


def _context(tls: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.server.certificate, tls.server.key)
    if tls.client_authority is not None:
        context.load_verify_locations(tls.client_authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
