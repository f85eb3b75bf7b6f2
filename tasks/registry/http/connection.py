"""One connection to a host: by a proxy or directly, with TLS or without, kept for one request after the other.

It stands on sockets, below http.client, requests and urllib3. Nothing of what these add is wanted here: redirects,
retries, cookies, encodings, a session for each thread. They took most of the processor time of a small request, and a
third of the start of a command.
"""

import select
import socket
from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import contextmanager
from http import HTTPStatus
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from tasks.registry.http.exchange import Body
from tasks.registry.http.failures import NoConnectionError
from tasks.registry.http.request_head import request_head
from tasks.registry.http.response_stream import Arriving
from tasks.registry.http.route import Route
from tasks.registry.http.visited_socket import Patience, Visiting, send_all

if TYPE_CHECKING:
    import ssl

# Gets the host and the address of each new connection, before TLS, and raises to abandon the connection. Of one by a
# proxy only the proxy knows the address.
Connected = Callable[[str, str], None]

_SMALL_BYTES: Final = 64 << 10
_WITH_CONTENT: Final = frozenset({"POST", "PUT", "PATCH"})


class Connection:
    """A connection on a route, with TLS to the host, to its proxy, or both.

    `idle_timeout` bounds how long the other side takes no byte of a request.
    """

    def __init__(
        self,
        route: Route,
        connected: Connected,
        tls: "ssl.SSLContext | None",
        proxy_tls: "ssl.SSLContext | None",
        idle_timeout: float,
    ) -> None:
        self.sock: socket.socket | None = None
        self._route = route
        self._connected = connected
        self._tls = tls
        self._proxy_tls = proxy_tls
        self._idle_timeout = idle_timeout
        self._method = ""
        self._is_spoiled = False

    @property
    def is_usable(self) -> bool:
        """Whether it is open, at the end of an answer, and the other side has not closed it or sent anything since."""
        if self.sock is None or self._is_spoiled:
            return False
        waiting = select.poll()
        waiting.register(self.sock, select.POLLIN)
        return not waiting.poll(0)

    def open(self, timeout: float) -> None:
        """Connect, each step within `timeout` seconds; raises AddressForbidden, NoConnectionError, OSError."""
        self.sock = self._reach(timeout)
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._route.proxy is None:
                self._connected(self._route.host, self.sock.getpeername()[0])
            self._secure(self.sock)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send a request in the block, each step of it within the idle timeout."""
        self._wait_at_most(self._idle_timeout)
        try:
            yield
        except (BrokenPipeError, ConnectionResetError):
            # Whoever refuses a request may answer, and close the connection before all of it has arrived.
            self._is_spoiled = True

    def fields(self, method: str, headers: Mapping[str, str], body: Sized | None) -> dict[str, str]:
        """Return all header fields of a request with such a body; its length is always declared."""
        proxy = self._route.proxy if self._route.is_forwarded else None
        own = {} if body is None and method not in _WITH_CONTENT else {"Content-Length": str(len(body or b""))}
        return {"Host": self._route.authority, **headers, **(proxy.headers if proxy else {}), **own}

    def send(
        self, method: str, target: str, fields: Mapping[str, str], body: bytes | Body | None, visiting: Visiting
    ) -> None:
        """Send a request; raises RequestMalformed, SourceSlow, DestinationSlow, OSError."""
        self._method = method
        head = request_head(method, target, fields)
        opened, visit = self._opened(), visiting()
        if body is None or isinstance(body, bytes):
            # What is small goes out as one packet.
            send_all(opened, head + body if body and len(body) < _SMALL_BYTES else head, visit)
            if body and len(body) >= _SMALL_BYTES:
                send_all(opened, body, visit)
            return
        send_all(opened, head, visit)
        for piece in body:
            send_all(opened, piece, visit)

    def answer(self, patience: Patience, visiting: Visiting) -> Arriving:
        """Return the answer to the request, of which each byte and the whole head arrive in time.

        Raises AnswerMalformed, SourceSlow, DestinationSlow, OSError.
        """
        self._wait_at_most(patience.most)
        answer = Arriving(self._opened(), self._method, visiting, patience.usual)
        try:
            answer.begin()
        except BaseException:
            answer.close()
            raise
        if answer.will_close:
            # The answer still reads from the socket, which is closed with it.
            self.close()
        return answer

    def close(self) -> None:
        """Close the connection; an answer that is being read keeps its socket."""
        closing, self.sock = self.sock, None
        if closing is not None:
            closing.close()

    def _opened(self) -> socket.socket:
        if self.sock is None:
            raise ConnectionResetError("the connection is closed")
        return self.sock

    def _wait_at_most(self, seconds: float) -> None:
        # Setting it is a system call.
        if self.sock is not None and self.sock.gettimeout() != seconds:
            self.sock.settimeout(seconds)

    def _reach(self, timeout: float) -> socket.socket:
        """Return a new socket to the host, or to its proxy."""
        route = self._route
        try:
            if route.proxy is not None and route.proxy.is_socks:
                return _by_socks(route, timeout)
            near = route.proxy or route
            return socket.create_connection((_host(near.host), near.port), timeout)
        except OSError as error:
            if isinstance(error, TimeoutError) or isinstance(getattr(error, "socket_err", None), TimeoutError):
                raise NoConnectionError("no connection") from error
            raise

    def _secure(self, opened: socket.socket) -> None:
        """Add what the route needs above TCP: TLS to the proxy, a tunnel through it, TLS to the host."""
        route = self._route
        if route.proxy is not None and not route.proxy.is_socks:
            if self._proxy_tls is not None:
                self.sock = opened = _wrap(opened, self._proxy_tls, route.proxy.host)
            if not route.is_forwarded:
                _open_tunnel(opened, route.place, route.proxy.headers)
        if self._tls is not None:
            self.sock = _wrap(opened, self._tls, route.host)


def _host(name: str) -> str:
    """Return a name as bytes if it is ASCII: for a text Python loads its tables of international names."""
    # The stub of the standard library does not know of bytes.
    return cast("str", name.encode()) if name.isascii() else name


def _by_socks(route: Route, timeout: float) -> socket.socket:
    # The module is an extra, without types.
    socks = import_module("socks")

    proxy = route.proxy
    if proxy is None:
        raise TypeError("a route without a proxy")
    opened: socket.socket = socks.create_connection(
        (route.host, route.port),
        timeout,
        proxy_type=socks.SOCKS5,
        proxy_addr=proxy.host,
        proxy_port=proxy.port,
        proxy_username=proxy.user,
        proxy_password=proxy.password,
        proxy_rdns=proxy.resolves,
    )
    return opened


def _open_tunnel(opened: socket.socket, place: str, headers: Mapping[str, str]) -> None:
    """Ask a proxy to carry all that follows to a host (RFC 9110, 9.3.6); raises OSError with its refusal."""
    opened.sendall(request_head("CONNECT", place, {"Host": place, **headers}))
    answer = Arriving(opened, method="CONNECT")
    try:
        answer.begin()
        if answer.status != HTTPStatus.OK:
            raise OSError(f"Tunnel connection failed: {answer.status} {answer.reason}")
    finally:
        answer.close()


def _wrap(opened: socket.socket, context: "ssl.SSLContext", host: str) -> socket.socket:
    """Return the socket with TLS; names are verified without the dot at their end, addresses without their zone."""
    import ssl  # noqa: PLC0415 - only what speaks TLS needs it

    name = host.rstrip(".").partition("%")[0]
    if isinstance(opened, ssl.SSLSocket):
        # Only a proxy that itself speaks TLS needs TLS within TLS, which the standard library has not.
        from urllib3.util.ssltransport import SSLTransport  # noqa: PLC0415

        return SSLTransport(opened, context, server_hostname=name)  # type: ignore[return-value]
    return context.wrap_socket(opened, server_hostname=name)
