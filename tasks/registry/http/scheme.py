"""The scheme of a registry, found by one request for the API's base, "GET /v2/" (BEHAVIOUR 8.5)."""

import ipaddress
import math
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from tasks.errors import ResponseInvalid
from tasks.registry.http.addresses import host_of
from tasks.registry.http.exchange import describe
from tasks.registry.http.expiring_cache import Expiring, ExpiringCache
from tasks.registry.http.failures import is_certificate_fault
from tasks.registry.http.retry import Transient
from tasks.registry.settings import RegistrySettings

_HOSTS: Final = {"docker.io": "registry-1.docker.io"}
_OF_A_BASE: Final = frozenset({200, 401, 403, 429})


class Pong(msgspec.Struct, frozen=True):
    """The answer of the API's base."""

    url: str
    status: int
    headers: Mapping[str, str]

    @property
    def is_base(self) -> bool:
        """Whether this may be a registry, and not a web server on the same host."""
        return self.status in _OF_A_BASE or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def speaks_http(self) -> bool:
        """Whether this is a registry without TLS: a server that wants TLS answers 400, or redirects to https."""
        wants_tls = self.headers.get("Location", "").lower().startswith("https:")
        return self.status != HTTPStatus.BAD_REQUEST and not wants_tls


def host_for(registry: str) -> str:
    """Return the host, with its port if any, that serves a registry; the two differ for Docker Hub."""
    return _HOSTS.get(registry, registry)


def is_loopback(host: str) -> bool:
    """Tell whether a host, without port and brackets, is this machine."""
    host = host.removesuffix(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def schemes(registry: str, settings: RegistrySettings) -> tuple[str, ...]:
    """Return the schemes to try, in their order."""
    if settings.plain_http is not None:
        return ("http",) if settings.plain_http else ("https",)
    if is_loopback(host_of(f"//{host_for(registry)}")):
        return ("http", "https")
    return ("https",) if settings.tls_verify else ("https", "http")


class Endpoint:
    """The base URL of a registry's API; `learn` gets the answer that decided it. Thread-safe: one thread asks."""

    def __init__(
        self,
        registry: str,
        settings: RegistrySettings,
        ping: Callable[[str], Pong],
        learn: Callable[[Pong], None],
    ) -> None:
        self._host = host_for(registry)
        self._schemes = schemes(registry, settings)
        self._ping = ping
        self._learn = learn
        self._found: ExpiringCache[str, str] = ExpiringCache()

    def base(self) -> str:
        """Return the scheme and host before all paths; raises Transient, or the permanent error."""
        return self._found.value(self._host, self._settle)

    def _settle(self) -> Expiring[str]:
        pong = self._find()
        self._learn(pong)
        return Expiring(pong.url, math.inf)

    def _find(self) -> Pong:
        failures: list[Transient | ResponseInvalid] = []
        for scheme in self._schemes:
            try:
                pong = self._ping(f"{scheme}://{self._host}")
            except (Transient, ResponseInvalid) as failure:
                failures.append(failure)
                continue
            if scheme == "https" or len(self._schemes) == 1 or (pong.speaks_http and (not failures or pong.is_base)):
                return pong
            said = f"{describe('GET', pong.url)} answered {pong.status} to plain HTTP."
            failures.append(ResponseInvalid(said))
        # A wrong certificate says more than a failure of plain HTTP. The absence of TLS says less than a lost
        # connection, which is worth another try.
        telling = [failure for failure in failures if is_certificate_fault(failure)]
        passing = [failure for failure in failures if isinstance(failure, Transient)]
        raise (telling or passing or failures)[-1]
