"""The adapter that makes requests and urllib3 send a request unchanged: one for each thread and registry."""

import re
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from tasks.registry.http.arriving import Arriving, Visiting

# Gets the host and the address of each new connection, before TLS, and raises to abandon the connection.
Connected = Callable[[str, str], None]

_BEFORE_TARGET: Final = re.compile(r"[^:]*://[^/?#]*")


class _Target:
    """The literal target of the present request.

    Connections refer to this object and not to their adapter: a module variable of urllib3 refers to the connections,
    and would keep the adapter with its sockets in memory after its thread has ended.
    """

    text = "/"


class Adapter(HTTPAdapter):
    """An adapter with literal targets, a lazy TLS context for each host, and a check of each peer address.

    Sending a body and waiting for an answer may idle for `idle_timeout` seconds. `visiting` returns the copy
    for which a thread reads.
    """

    def __init__(
        self,
        tls: Callable[[str], ssl.SSLContext],
        idle_timeout: float,
        connected: Connected,
        visiting: Visiting = lambda: None,
    ) -> None:
        self._tls = tls
        self._target = _Target()
        # Only the proxy knows the peer; the proxy's own address is the user's choice.
        self._by_proxy = _pools(idle_timeout, lambda _host, _address: None, self._target, visiting)
        super().__init__(max_retries=0)
        self.poolmanager.pool_classes_by_scheme = _pools(idle_timeout, connected, self._target, visiting)

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        """Return a pool manager whose connections by a proxy behave like all others."""
        is_known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **more)
        if not is_known:
            manager.pool_classes_by_scheme = _by_socks(self._by_proxy) if proxy.startswith("socks") else self._by_proxy
        return manager

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._tls(host["host"])} if host["scheme"] == "https" else {}

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """Keep the literal target for the connection; urllib3, which would re-quote it, gets the usual one.

        What urllib3 gets has no query, which may hold a signature: it logs it, and quotes it in its errors. A proxy
        without a tunnel gets the whole URL (RFC 9112, 3.2.2).
        """
        url = super().request_url(request, proxies)
        given = request.url or ""
        self._target.text = target_of(given) if url.startswith("/") else given.partition("#")[0]
        return url.partition("?")[0]

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the TLS context is complete, and requests would load its authorities for each connection."""


def origin_of(url: str) -> str:
    """Return the part of an absolute URL before its target."""
    match = _BEFORE_TARGET.match(url)
    return match[0] if match else url


def target_of(url: str) -> str:
    """Return the literal request target of an absolute URL (RFC 9112, 3.2.1)."""
    match = _BEFORE_TARGET.match(url)
    target = url[match.end() if match else 0 :].partition("#")[0]
    return target if target.startswith("/") else f"/{target}"


def _by_socks(pools: dict[str, type[HTTPConnectionPool]]) -> dict[str, type[HTTPConnectionPool]]:
    """Return pools whose connections are opened by a SOCKS proxy, and else behave like those of `pools`."""
    # The module needs an extra, and warns without it.
    from urllib3.contrib.socks import SOCKSConnection  # noqa: PLC0415 - see above

    def through(pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
        connection = type("BySocks", (SOCKSConnection, pool.ConnectionCls), {})
        return type("PoolBySocks", (pool,), {"ConnectionCls": connection})

    return {scheme: through(pool) for scheme, pool in pools.items()}


def _pools(
    idle_timeout: float, connected: Connected, target: _Target, visiting: Visiting
) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        # Not a method: it is called with the socket alone.
        response_class = staticmethod(partial(Arriving, visiting=visiting))  # type: ignore[assignment]

        def _new_conn(self) -> socket.socket:
            opened = super()._new_conn()
            try:
                connected(self.host, opened.getpeername()[0])
            except BaseException:
                opened.close()
                raise
            return opened

        def connect(self) -> None:
            super().connect()
            self._may_idle()

        def putrequest(self, method: str, url: str, *args: Any, **more: Any) -> None:  # noqa: ARG002 - urllib3's form of it
            self._may_idle()
            super().putrequest(method, target.text, *args, **more)

        def _may_idle(self) -> None:
            """Set the idle timeout of an open connection: urllib3 would send a body under the timeout to connect."""
            if self.sock is not None:
                self.timeout = idle_timeout
                self.sock.settimeout(idle_timeout)

    class Secure(Plain, HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            # The settings turn verification off for this registry: urllib3 need not warn at each connection.
            self.is_verified = True

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
