"""Proxies of the environment: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY (BEHAVIOUR 8.7)."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies, select_proxy

from tasks.errors import SettingsInvalid
from tasks.registry.extras import need
from tasks.registry.http.endpoint import is_loopback

_HTTP: Final = frozenset({"http", "https"})
# By socks5h the proxy resolves names, by socks5 this side.
_SOCKS: Final = frozenset({"socks5", "socks5h"})


@dataclass(frozen=True, slots=True)
class Via:
    """The way to a URL: the proxy `url`, or none; `told` follows the name of a failed request in messages."""

    url: str | None = None
    told: str = ""

    def proxies(self) -> dict[str, str]:
        """Return the proxy in the form of requests."""
        return {"all": self.url} if self.url else {}


def way_to(url: str, *, uses_environment: bool) -> Via:
    """Return the way to a URL; this machine is never reached by a proxy, as with other registry clients.

    Raises SettingsInvalid for an invalid proxy in the environment, or one of SOCKS without its library; the message
    omits its user and password.
    """
    host = urlsplit(url).hostname or ""
    named = None if is_loopback(host) else select_proxy(url, get_environ_proxies(url))
    if not named:
        return Via()
    if not uses_environment:
        return Via(told=' (a proxy is set in the environment, and not used: `http.proxy` is "none")')
    whole = named if "://" in named else f"http://{named}"
    scheme, colon, rest = whole.partition(":")
    scheme, place = scheme.lower(), _place_of(whole)
    if scheme in _SOCKS:
        need("socks", extra="socks", purpose=f"The SOCKS proxy {place} of the environment")
    return Via(f"{scheme}{colon}{rest}", f" by the proxy {place}")


def _place_of(proxy: str) -> str:
    try:
        parts = urlsplit(proxy)
        place = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    except ValueError:
        place = None
    if not place or parts.scheme not in _HTTP | _SOCKS:
        raise SettingsInvalid(
            "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY is not the URL of a proxy: http://HOST:PORT, https://HOST:PORT,"
            ' socks5://HOST:PORT or socks5h://HOST:PORT is supported. Name one, or set `http.proxy` to "none".'
        )
    return place
