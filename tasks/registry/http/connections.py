"""Connections to a registry and to the hosts it leads to, each for one request at a time.

They use nothing of the environment except its proxies, if the settings want them: a .netrc would replace tokens.
"""

import logging
import threading
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from tasks import telemetry
from tasks.errors import AddressForbidden
from tasks.registry.http.addresses import host_of, is_inward, is_never_asked
from tasks.registry.http.answer import Incoming
from tasks.registry.http.connection import Connection
from tasks.registry.http.exchange import Body, describe
from tasks.registry.http.failures import FAILURES, normalise
from tasks.registry.http.pool import Pool
from tasks.registry.http.proxy import Via, way_to
from tasks.registry.http.route import Route, origin_of, route_to
from tasks.registry.http.visited_socket import Patience, Visiting, nobody
from tasks.registry.settings import HttpLimits, RegistrySettings

if TYPE_CHECKING:
    import ssl

LOG: Final = logging.getLogger(__name__)
USER_AGENT: Final = "imagepusher"
_HEADERS: Final = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}

_TOO_MANY: Final = "429"
_MOST_ORIGINS: Final = 256


class Connections:
    """The connections of a process to `host`, a registry with or without port, and to the hosts it leads to.

    `visiting` tells for whose sake a thread waits for a registry (`tasks/registry/registry_share.py`).
    """

    def __init__(self, host: str, settings: RegistrySettings, limits: HttpLimits, visiting: Visiting = nobody) -> None:
        self._host = host
        self._settings = settings
        self._limits = limits
        self._visiting = visiting
        self._guard = threading.Lock()
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._inward: bool | None = None
        self._pool = Pool()
        # Looking through the environment takes as long as a small request.
        self._way_to = lru_cache(_MOST_ORIGINS)(self._find_way)
        self._route_to = lru_cache(_MOST_ORIGINS)(route_to)

    def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Body | None = None,
        patience: Patience | None = None,
    ) -> Incoming:
        """Send one request, its URL to the letter, and return the answer, its content unread.

        Every request starts here, and ends when the caller closes the answer. The head of the answer arrives within the
        given patience, which is `idle_timeout` if None.
        Raises Transient, SourceSlow, DestinationSlow, or a RegistryError if another try would fail too.
        """
        what = describe(method, url)
        origin = origin_of(url)
        via = self._way_to(origin)
        status = "error"
        begun = time.monotonic()
        try:
            route = self._route_to(origin, via.proxy)
            generation = self._pool.generation
            connection = self._pool.take(route.origin) or self._open(route)
            try:
                with connection.sending():
                    fields = connection.fields(method, {**_HEADERS, **headers}, body)
                    connection.send(method, route.target(url), fields, body, self._visiting)
                answer = connection.answer(patience or Patience(self._limits.idle_timeout), self._visiting)
            except BaseException:
                connection.close()
                raise
            status = str(answer.status)
        except FAILURES as error:
            raise normalise(error, what + via.told) from None
        finally:
            self._count(method, status)
            # `what` has neither query nor headers: both may hold tokens and signatures.
            LOG.debug("%s: %s after %.3f s", what, status, time.monotonic() - begun)

        def release(complete: bool) -> None:  # noqa: FBT001 - the only argument
            if complete:
                self._pool.put(route.origin, connection, generation)
            else:
                connection.close()

        return Incoming(answer, what, release)

    def close(self) -> None:
        """Close the idle connections; a busy one is closed when its answer has been read."""
        self._pool.close()

    def _find_way(self, origin: str) -> Via:
        """Return the way to a host; raises AddressForbidden for one that is never asked, by a proxy either."""
        host = host_of(origin)
        if is_never_asked(host):
            raise AddressForbidden(f"{host} is an address where no registry is: it is never asked.")
        return way_to(origin, uses_environment=self._settings.proxy == "environment")

    def _count(self, method: str, status: str) -> None:
        """Count a request; a request to another host by redirect counts for the registry."""
        telemetry.count(telemetry.HTTP_REQUESTS, registry=self._host, method=method, status=status)
        if status == _TOO_MANY:
            telemetry.count(telemetry.RATE_LIMITED, registry=self._host)

    def _open(self, route: Route) -> Connection:
        limits, proxy = self._limits, route.proxy
        tls = self._tls(route.host) if route.scheme == "https" else None
        # The settings of a registry say nothing about a proxy.
        proxy_tls = _tls_context(proxy.host, RegistrySettings()) if proxy and proxy.scheme == "https" else None
        connection = Connection(route, self._connected, tls, proxy_tls, limits.idle_timeout)
        connection.open(limits.connect_timeout)
        return connection

    def _tls(self, host: str) -> "ssl.SSLContext":
        """Return the TLS context of a host; only the registry itself sees the client certificate."""
        own = host.lower().strip("[]") == host_of(f"//{self._host}")
        with self._guard:
            if own not in self._contexts:
                self._contexts[own] = _tls_context(self._host, self._settings, introduce=own)
            return self._contexts[own]

    def _connected(self, host: str, address: str) -> None:
        """Check the address of a new connection.

        Raises AddressForbidden if a public-looking name, the registry's own included, resolves to an inward address,
        unless all addresses of the registry have been inward so far. Raises it always for a link-local address.
        """
        inward = is_inward(address)
        own = host.lower() == host_of(f"//{self._host}")
        if own and (self._inward is None or not inward):
            # A name that stands for a public address as well is public, whichever address came first.
            self._inward = inward
        elif inward and not self._inward:
            raise AddressForbidden(f"{self._host} leads to {host}, which is an inward address.")
        if is_never_asked(address):
            raise AddressForbidden(f"{host} is at {address}, where no registry is.")


def _tls_context(host: str, settings: RegistrySettings, *, introduce: bool = True) -> "ssl.SSLContext":
    # Only what speaks TLS needs it.
    from tasks.registry.http.tls import tls_context  # noqa: PLC0415

    return tls_context(host, settings, introduce=introduce)
