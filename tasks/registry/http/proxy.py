"""Proxies of the environment: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY (BEHAVIOUR 8.7)."""

import os
from base64 import b64encode
from typing import ClassVar, Final
from urllib.parse import unquote, urlsplit

import msgspec

from tasks.discreet import Discreet
from tasks.errors import SettingsInvalid
from tasks.registry.http.scheme import is_loopback
from tasks.registry.vendor_libraries import need

_HTTP: Final = frozenset({"http", "https"})
# By socks5h the proxy resolves names, by socks5 this side.
_SOCKS: Final = frozenset({"socks5", "socks5h"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


class Proxy(Discreet, frozen=True):
    """A proxy; `user` and `password` are empty without either."""

    _hidden: ClassVar = frozenset({"user", "password"})

    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = ""

    @property
    def is_socks(self) -> bool:
        return self.scheme in _SOCKS

    @property
    def resolves(self) -> bool:
        """Whether the proxy resolves the names of hosts; one that speaks HTTP always does."""
        return self.scheme != "socks5"

    @property
    def headers(self) -> dict[str, str]:
        """The header that introduces this side to a proxy that speaks HTTP, if it has to."""
        if not self.user:
            return {}
        pair = f"{self.user}:{self.password}".encode("latin-1")
        return {"Proxy-Authorization": f"Basic {b64encode(pair).decode()}"}


class Via(msgspec.Struct, frozen=True):
    """The way to a URL: a proxy, or none; messages of failed requests say `told` after the name of the request."""

    proxy: Proxy | None = None
    told: str = ""


def way_to(url: str, *, uses_environment: bool) -> Via:
    """Return the way to a URL; this machine is never reached by a proxy, as with other registry clients.

    Raises SettingsInvalid for an invalid proxy in the environment, or one of SOCKS without its library; the message
    omits its user and password.
    """
    host = urlsplit(url).hostname or ""
    named = None if is_loopback(host) else _named_for(url)
    if not named:
        return Via()
    if not uses_environment:
        return Via(told=' (a proxy is set in the environment, and not used: `http.proxy` is "none")')
    proxy, place = _read(named if "://" in named else f"http://{named}")
    if proxy.is_socks:
        need("socks", extra="socks", purpose=f"The SOCKS proxy {place} of the environment")
    return Via(proxy, f" by the proxy {place}")


def _named_for(url: str) -> str | None:
    """Return the proxy that the environment names for a URL, by the rules of requests."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    # The import of requests takes half as long as all other imports of a small push.
    from requests.utils import get_environ_proxies, select_proxy  # noqa: PLC0415

    return select_proxy(url, get_environ_proxies(url))


def _read(url: str) -> tuple[Proxy, str]:
    """Return the proxy at a URL, and its place for messages."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in _HTTP | _SOCKS:
        raise SettingsInvalid(
            "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY is not the URL of a proxy: http://HOST:PORT, https://HOST:PORT,"
            ' socks5://HOST:PORT or socks5h://HOST:PORT is supported. Name one, or set `http.proxy` to "none".'
        )
    user, password = parts.username, parts.password
    pair = ("", "") if user is None or password is None else (unquote(user), unquote(password))
    return Proxy(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme], *pair), f"{host}:{port}" if port else host
