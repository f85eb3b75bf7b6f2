"""The rules for redirects and for URLs that a registry names (RFC 9110, 15.4; BEHAVIOUR 8.2, 8.4)."""

from typing import Final
from urllib.parse import urlsplit

from tasks.errors import AddressForbidden
from tasks.registry.http.addresses import forbid_inward, host_of
from tasks.registry.http.exchange import Response
from tasks.registry.http.scheme import is_loopback

MOST_REDIRECTS: Final = 5

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# Redirects that keep method and body: the only ones that make sense for a write.
_REPEATING: Final = frozenset({307, 308})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def next_hop(method: str, response: Response) -> str | None:
    """Return the URL to which a response redirects, None for the last response."""
    followed = _REDIRECTS if method in {"GET", "HEAD"} else _REPEATING
    return response.location if response.status in followed else None


def secured(base: str, url: str) -> str:
    """Return a URL by https if it leads by http to the registry itself, which is reached by https at `base`.

    A registry that does not know of the proxy before it names itself so.
    """
    secure, _, host = base.partition("://")
    insecure = f"http://{host}/"
    return f"{base}/{url[len(insecure) :]}" if secure == "https" and url.startswith(insecure) else url


def check_hop(registry: str, origin: str, url: str) -> None:
    """Raise AddressForbidden for a URL to which `registry` must not lead from `origin`."""
    forbid_inward(registry, url)
    scheme = url.partition(":")[0].lower()
    if scheme not in _DEFAULT_PORTS:
        raise AddressForbidden(f"{registry} leads to an address that is neither http nor https.")
    if scheme == "http" and origin.lower().startswith("https:") and not are_loopback(origin, url):
        raise AddressForbidden(f"{registry} leads from https to http at {host_of(url)}.")


def are_loopback(*urls: str) -> bool:
    """Tell whether all of these URLs name this machine."""
    return all(is_loopback(host_of(url)) for url in urls)


def is_same_origin(first: str, second: str) -> bool:
    """Tell whether two URLs share scheme, host and port: then both may see the same credentials."""
    # Most URLs continue the base that they are compared with.
    return first.startswith(f"{second}/") or _origin(first) == _origin(second)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)
