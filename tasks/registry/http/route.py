"""The parts of a URL that a connection and its request need (RFC 9112, 3.2)."""

import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from tasks.registry.http.message_faults import RequestMalformed
from tasks.registry.http.proxy import Proxy

_BEFORE_TARGET: Final = re.compile(r"[^:]*://[^/?#]*")
# Neither spaces nor control characters.
_HOST: Final = re.compile(r"[^\x00-\x20\x7f]+")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Route(msgspec.Struct, frozen=True):
    """The way to one origin, by a proxy or directly; `authority` names the origin in requests."""

    origin: str
    scheme: str
    host: str
    port: int
    proxy: Proxy | None = None

    @property
    def authority(self) -> str:
        """The value of Host: without the port if it is the usual one of the scheme."""
        return self._host if self.port == _DEFAULT_PORTS[self.scheme] else f"{self._host}:{self.port}"

    @property
    def place(self) -> str:
        """The host with its port, as a tunnel is asked for."""
        return f"{self._host}:{self.port}"

    @property
    def is_forwarded(self) -> bool:
        """Whether the proxy reads the request and forwards it, instead of opening a tunnel."""
        return self.proxy is not None and not self.proxy.is_socks and self.scheme == "http"

    def target(self, url: str) -> str:
        """Return what a request for a URL of this origin names: a proxy without a tunnel gets the whole URL."""
        return url.partition("#")[0] if self.is_forwarded else target_of(url)

    @property
    def _host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def route_to(origin: str, proxy: Proxy | None = None) -> Route:
    """Return the way to an origin, `scheme://host:port`; raises RequestMalformed for any other text."""
    try:
        parts = urlsplit(origin)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        raise RequestMalformed("no origin") from None
    if scheme not in _DEFAULT_PORTS or not host or not _HOST.fullmatch(host):
        raise RequestMalformed("no origin")
    return Route(origin, scheme, host, _DEFAULT_PORTS[scheme] if port is None else port, proxy)


def origin_of(url: str) -> str:
    """Return the part of an absolute URL before its target."""
    match = _BEFORE_TARGET.match(url)
    return match[0] if match else url


def target_of(url: str) -> str:
    """Return the literal request target of an absolute URL."""
    match = _BEFORE_TARGET.match(url)
    target = url[match.end() if match else 0 :].partition("#")[0]
    return target if target.startswith("/") else f"/{target}"
