"""Connections to a registry and to the hosts it leads to: one adapter of requests in each thread.

A session of requests is not used: even with redirects off, it reads their bodies without bound and parses their
Locations. The adapter uses no environment except its proxies, if the settings want them (a .netrc would replace
tokens), no cookies and no retries.
"""

import logging
import ssl
import threading
import time
import weakref
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import requests
from requests.structures import CaseInsensitiveDict

from tasks import telemetry
from tasks.errors import AddressForbidden
from tasks.registry.http.adapter import Adapter, origin_of
from tasks.registry.http.addresses import host_of, is_inward, is_never_asked
from tasks.registry.http.answer import Incoming
from tasks.registry.http.arriving import Visiting
from tasks.registry.http.exchange import Body, describe
from tasks.registry.http.failures import FAILURES, normalise
from tasks.registry.http.proxy import Via, way_to
from tasks.registry.http.tls import tls_context
from tasks.registry.settings import HttpLimits, RegistrySettings

LOG: Final = logging.getLogger(__name__)
USER_AGENT: Final = "imagepusher"

_TOO_MANY: Final = "429"
_MOST_ORIGINS: Final = 256


class Connections:
    """The connections of a process to `host`, a registry with or without port, and to the hosts it leads to.

    `visiting` tells for whose sake a thread reads from a source (`tasks/registry/visits.py`).
    """

    def __init__(
        self, host: str, settings: RegistrySettings, limits: HttpLimits, visiting: Visiting = lambda: None
    ) -> None:
        self._host = host
        self._settings = settings
        self._limits = limits
        self._visiting = visiting
        self._guard = threading.Lock()
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._inward: bool | None = None
        self._local = threading.local()
        # Weak references: the adapter of a thread goes when the thread ends.
        self._adapters: weakref.WeakSet[Adapter] = weakref.WeakSet()
        # Looking through the environment takes as long as a small request.
        self._way_to = lru_cache(_MOST_ORIGINS)(self._find_way)

    def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Body | None = None,
        wait: float | None = None,
    ) -> Incoming:
        """Send one request, its URL to the letter, and return the answer, its content unread.

        Every request starts here, and ends when the caller closes the answer. The wait for the head of the answer is at
        most `wait` seconds (`idle_timeout` if None). Raises Transient, or a RegistryError if another try would fail
        too.
        """
        what = describe(method, url)
        sized = {"Content-Length": str(len(body))} if body is not None else {}
        # Not by `prepare`, which re-quotes URLs, and sends a body of unknown length in chunks.
        request = requests.PreparedRequest()
        request.method = method
        request.url = url
        request.headers = CaseInsensitiveDict(
            {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers, **sized}
        )
        request.body = (body or None) if isinstance(body, bytes) else body  # type: ignore[assignment]
        timeout = (self._limits.connect_timeout, wait or self._limits.idle_timeout)
        via = self._way_to(origin_of(url))
        status = "error"
        begun = time.monotonic()
        try:
            answer = self._adapter().send(request, stream=True, timeout=timeout, proxies=via.proxies())
            status = str(answer.status_code)
        except FAILURES as error:
            raise normalise(error, what + via.told) from None
        finally:
            self._count(method, status)
            # Without query and headers: both may hold tokens and signatures.
            LOG.debug("%s: %s after %.3f s", what, status, time.monotonic() - begun)
        return Incoming(answer, what)

    def close(self) -> None:
        """Close the idle connections of all threads; a busy one is closed when its answer has been read."""
        with self._guard:
            adapters = list(self._adapters)
        for adapter in adapters:
            adapter.close()

    def _find_way(self, origin: str) -> Via:
        """Return the way to a host; raises AddressForbidden for one that is never asked, by a proxy either."""
        host = host_of(origin)
        if is_never_asked(host):
            raise AddressForbidden(f"{host} is where no registry is.")
        return way_to(origin, uses_environment=self._settings.proxy == "environment")

    def _count(self, method: str, status: str) -> None:
        """Count a request; a request to another host by redirect counts for the registry."""
        telemetry.count(telemetry.HTTP_REQUESTS, registry=self._host, method=method, status=status)
        if status == _TOO_MANY:
            telemetry.count(telemetry.RATE_LIMITED, registry=self._host)

    def _adapter(self) -> Adapter:
        adapter: Adapter | None = getattr(self._local, "adapter", None)
        if adapter is None:
            idle = self._limits.idle_timeout
            adapter = self._local.adapter = Adapter(self._tls, idle, self._connected, self._visiting)
            with self._guard:
                self._adapters.add(adapter)
        return adapter

    def _tls(self, host: str) -> ssl.SSLContext:
        """Return the TLS context of a host; only the registry itself sees the client certificate."""
        own = host.lower().strip("[]") == host_of(f"//{self._host}")
        with self._guard:
            if own not in self._contexts:
                self._contexts[own] = tls_context(self._host, self._settings, introduce=own)
            return self._contexts[own]

    def _connected(self, host: str, address: str) -> None:
        """Check the address of a new connection.

        Raises AddressForbidden if a public-looking name, the registry's own included, resolves to an inward address,
        unless the registry has been inward from the start. Raises it always for a link-local address.
        """
        inward = is_inward(address)
        if host.lower() == host_of(f"//{self._host}") and self._inward is None:
            self._inward = inward
        elif inward and not self._inward:
            raise AddressForbidden(f"{self._host} leads to {host}, which is an inward address.")
        if is_never_asked(address):
            raise AddressForbidden(f"{host} is at {address}, where no registry is.")
