"""Connections to a registry and to where it leads: one adapter of requests in each thread, and nothing implied.

Not a session: even told to leave redirects alone, it reads their bodies without bound and looks into their Locations.
No environment (a .netrc would replace tokens), no cookies, no retries: decided elsewhere, or not wanted.
"""

import ssl
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from tasks import telemetry
from tasks.errors import AddressForbidden
from tasks.registry.addresses import host_of, is_inward
from tasks.registry.exchange import Body, describe
from tasks.registry.failures import FAILURES, normalise
from tasks.registry.settings import HttpLimits, RegistrySettings
from tasks.registry.tls import tls_context

USER_AGENT: Final = "imagepusher"

_TOO_MANY: Final = "429"

Connected = Callable[[HTTPConnection], None]


class Connections:
    """What the threads of a process use to reach `host`, a registry with or without port, and where it leads."""

    def __init__(self, host: str, settings: RegistrySettings, limits: HttpLimits) -> None:
        self._host = host
        self._settings = settings
        self._limits = limits
        self._guard = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._inward: bool | None = None
        self._local = threading.local()

    def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Body | None = None
    ) -> requests.Response:
        """Send one request, its URL to the letter, and return the response with its content unread.

        Raises Transient, or the RegistryError that another try would end in too.
        """
        sized = {"Content-Length": str(len(body))} if body is not None else {}
        request = requests.PreparedRequest()
        timeout = (self._limits.connect_timeout, self._limits.idle_timeout)
        status = "error"
        try:
            request.prepare(
                method=method,
                url=url,
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers, **sized},
            )
            # `prepare` re-quotes URLs, which breaks signed ones, and sends what has no length of its own in chunks.
            request.url = url
            request.body = (body or None) if isinstance(body, bytes) else body  # type: ignore[assignment]
            answer = self._adapter().send(request, stream=True, timeout=timeout)
            status = str(answer.status_code)
        except FAILURES as error:
            raise normalise(error, describe(method, url)) from None
        finally:
            self._count(method, status)
        return answer

    def read(self, response: requests.Response, what: str, limit: int) -> bytes:
        """Return the content, or its first `limit` + 1 bytes; raises Transient."""
        content = bytearray()
        try:
            # Only the read that comes after the last byte tells a whole content from one that was cut short.
            while len(content) <= limit and (
                piece := response.raw.read(limit + 1 - len(content), decode_content=False)
            ):
                content += piece
        except FAILURES as error:
            raise normalise(error, what) from None
        finally:
            # Where all was read the connection has gone back to the pool; else it must not be used again.
            response.close()
        return bytes(content)

    def _count(self, method: str, status: str) -> None:
        """Count a request; one that the registry led to another host counts for the registry."""
        telemetry.count(telemetry.HTTP_REQUESTS, registry=self._host, method=method, status=status)
        if status == _TOO_MANY:
            telemetry.count(telemetry.RATE_LIMITED, registry=self._host)

    def _adapter(self) -> HTTPAdapter:
        adapter: HTTPAdapter | None = getattr(self._local, "adapter", None)
        if adapter is None:
            adapter = self._local.adapter = _Adapter(self._tls(), self._limits.buffer_bytes, self._connected)
        return adapter

    def _tls(self) -> ssl.SSLContext:
        with self._guard:
            if self._context is None:
                self._context = tls_context(self._host, self._settings)
            return self._context

    def _connected(self, connection: HTTPConnection) -> None:
        """Look at a new connection: how long it may be idle, and whether it may lead there.

        urllib3 would give the body of a request only the connect timeout. Raises AddressForbidden where a name that
        looks public stands for an inward address, unless the registry itself is inward.
        """
        connection.sock.settimeout(self._limits.idle_timeout)
        inward = is_inward(connection.sock.getpeername()[0])
        if connection.host.lower() == host_of(f"//{self._host}"):
            self._inward = inward
        elif inward and not self._inward:
            raise AddressForbidden(f"{self._host} leads to {connection.host}, which is an inward address.")


class _Adapter(HTTPAdapter):
    """TLS by one context for all hosts, blocks of a useful size, and a look at each new connection."""

    def __init__(self, context: ssl.SSLContext, block: int, connected: Connected) -> None:
        self._tls = context
        self._block = block
        self._pools = _pools(connected)
        super().__init__(max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: Any) -> None:  # noqa: FBT001, FBT002 - the signature is requests'
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._tls, blocksize=self._block, **more)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the context has it all, and requests would load its authorities for each connection."""


def _pools(connected: Connected) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            connected(self)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            connected(self)
            # The settings say that this registry is not verified: urllib3 need not warn of it at each connection.
            self.is_verified = True

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
