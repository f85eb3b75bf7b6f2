"""How requests and urllib3 are made to send what they are given: one adapter for each thread and registry."""

import re
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from tasks.registry.http.arriving import Arriving

# Is told the host and the address of each new connection, before TLS and all else, and raises to give it up.
Connected = Callable[[str, str], None]

_BEFORE_TARGET: Final = re.compile(r"[^:]*://[^/?#]*")


class _Target:
    """The target of the request that is being sent, to the letter.

    Connections refer to it and not to their adapter: urllib3 refers to them from a module variable, and an adapter that
    they refer to would stay in memory, with its sockets, after its thread has ended.
    """

    text = "/"


class Adapter(HTTPAdapter):
    """Targets to the letter, TLS by the context of each host, made when it is needed, and a look at where it leads.

    Sending a body and waiting for an answer may idle for `idle_timeout` seconds.
    """

    def __init__(self, tls: Callable[[str], ssl.SSLContext], idle_timeout: float, connected: Connected) -> None:
        self._tls = tls
        self._target = _Target()
        # Where a proxy leads, it alone knows: its own address is the user's business.
        self._by_proxy = _pools(idle_timeout, lambda _host, _address: None, self._target)
        super().__init__(max_retries=0)
        self.poolmanager.pool_classes_by_scheme = _pools(idle_timeout, connected, self._target)

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        """Let connections by a proxy be as all others are."""
        manager = super().proxy_manager_for(proxy, **more)
        manager.pool_classes_by_scheme = self._by_proxy
        return manager

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._tls(host["host"])} if host["scheme"] == "https" else {}

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """Keep the target as it is for the connection; urllib3, which would re-quote it, gets the usual one.

        A proxy that is no tunnel is told the whole URL (RFC 9112, 3.2.2).
        """
        url = super().request_url(request, proxies)
        given = request.url or ""
        self._target.text = target_of(given) if url.startswith("/") else given.partition("#")[0]
        return url

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the context has it all, and requests would load its authorities for each connection."""


def origin_of(url: str) -> str:
    """Return what stands before the target of an absolute URL."""
    match = _BEFORE_TARGET.match(url)
    return match[0] if match else url


def target_of(url: str) -> str:
    """Return what a request for an absolute URL has in its first line, to the letter (RFC 9112, 3.2.1)."""
    match = _BEFORE_TARGET.match(url)
    target = url[match.end() if match else 0 :].partition("#")[0]
    return target if target.startswith("/") else f"/{target}"


def _pools(idle_timeout: float, connected: Connected, target: _Target) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        response_class = Arriving

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

        def request(self, *args: Any, **more: Any) -> None:
            self._may_idle()
            super().request(*args, **more)

        def putrequest(self, method: str, url: str, *args: Any, **more: Any) -> None:  # noqa: ARG002 - urllib3's form of it
            super().putrequest(method, target.text, *args, **more)

        def _may_idle(self) -> None:
            """Let an open connection idle: urllib3 would give the body of a request only the time to connect."""
            if self.sock is not None:
                self.timeout = idle_timeout
                self.sock.settimeout(idle_timeout)

    class Secure(Plain, HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            # The settings say that this registry is not verified: urllib3 need not warn of it at each connection.
            self.is_verified = True

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
