"""A SOCKS5 proxy (RFC 1928, RFC 1929) that alone resolves names: every host that it is asked for is 127.0.0.1."""

import socket
import struct
from socketserver import StreamRequestHandler, ThreadingTCPServer

from tests.support.forward_proxy import relay
from tests.support.serving import Serving

_BY_NAME, _BY_ADDRESS = 3, 1
_BY_PASSWORD, _OPEN, _NONE_OF_THEM = 2, 0, 0xFF
_HOST_UNREACHABLE = 4


class SocksProxy(Serving["_Server"]):
    """Serve on loopback while the context lasts.

    With `pair`, USER:PASSWORD, others are refused. `asked` are the hosts, with their ports, of all connections;
    `unreachable` makes each connection end as unreachable.
    """

    def __init__(self, pair: str = "") -> None:
        super().__init__(_Server(("127.0.0.1", 0), _Handler))
        self._server.pair = pair

    @property
    def asked(self) -> list[str]:
        return self._server.asked

    def refuse(self) -> None:
        self._server.unreachable = True


class _Server(ThreadingTCPServer):
    daemon_threads = True
    pair = ""
    unreachable = False

    def __init__(self, address: tuple[str, int], handler: type[StreamRequestHandler]) -> None:
        super().__init__(address, handler)
        self.asked: list[str] = []


class _Handler(StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        methods = self.rfile.read(self.rfile.read(2)[1])
        method = _BY_PASSWORD if self.server.pair else _OPEN
        if method not in methods:
            self.wfile.write(bytes([5, _NONE_OF_THEM]))
            return
        self.wfile.write(bytes([5, method]))
        if self.server.pair and not self._admit():
            return
        kind = self.rfile.read(4)[3]
        assert kind in {_BY_NAME, _BY_ADDRESS}
        host = self._text() if kind == _BY_NAME else socket.inet_ntoa(self.rfile.read(4))
        (port,) = struct.unpack("!H", self.rfile.read(2))
        self.server.asked.append(f"{host}:{port}")
        answer = _HOST_UNREACHABLE if self.server.unreachable else 0
        self.wfile.write(bytes([5, answer, 0, _BY_ADDRESS, 0, 0, 0, 0, 0, 0]))
        if answer:
            return
        with socket.create_connection(("127.0.0.1", port)) as there:
            relay(self.connection, there)

    def _admit(self) -> bool:
        self.rfile.read(1)
        right = f"{self._text()}:{self._text()}" == self.server.pair
        self.wfile.write(bytes([1, 0 if right else 1]))
        return right

    def _text(self) -> str:
        return self.rfile.read(self.rfile.read(1)[0]).decode()
