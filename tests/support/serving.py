"""A server of the standard library on a free port of loopback, in a thread of its own."""

from socketserver import TCPServer
from threading import Thread
from types import TracebackType
from typing import Generic, Self, TypeVar

Server = TypeVar("Server", bound=TCPServer)


class Serving(Generic[Server]):
    """Serve while the context lasts; the port of `server` is bound from its construction on."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
