"""Connections to a registry and to where it leads: one adapter of requests in each thread, and nothing implied.

Not a session: even told to leave redirects alone, it reads their bodies without bound and looks into their Locations.
No environment but its proxies, where the settings want them (a .netrc would replace tokens), no cookies, no retries:
decided elsewhere, or not wanted.
"""

import logging
import ssl
import threading
import time
import weakref
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Final

import requests
from requests.structures import CaseInsensitiveDict

from tasks import telemetry
from tasks.errors import AddressForbidden
from tasks.registry.http.adapter import Adapter, origin_of
from tasks.registry.http.addresses import host_of, is_inward, is_never_asked
from tasks.registry.http.answer import Incoming
from tasks.registry.http.exchange import Body, describe
from tasks.registry.http.failures import FAILURES, normalise
from tasks.registry.http.proxy import way_to
from tasks.registry.http.tls import tls_context
from tasks.registry.settings import HttpLimits, RegistrySettings

LOG: Final = logging.getLogger(__name__)
USER_AGENT: Final = "imagepusher"

_TOO_MANY: Final = "429"
_MOST_ORIGINS: Final = 256


class Connections:
    """What the threads of a process use to reach `host`, a registry with or without port, and where it leads."""

    def __init__(self, host: str, settings: RegistrySettings, limits: HttpLimits) -> None:
        self._host = host
        self._settings = settings
        self._limits = limits
        self._guard = threading.Lock()
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._inward: bool | None = None
        self._local = threading.local()
        # Those of threads that have ended go by themselves.
        self._adapters: weakref.WeakSet[Adapter] = weakref.WeakSet()
        # Looking through the environment takes as long as a small request.
        self._way_to = lru_cache(_MOST_ORIGINS)(partial(way_to, uses_environment=settings.proxy == "environment"))

    def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Body | None = None,
        wait: float | None = None,
    ) -> Incoming:
        """Send one request, its URL to the letter, and return what comes back, its content unread.

        Every request starts here, and ends when the caller closes what it got. The head of the answer is waited for
        `wait` seconds (`idle_timeout` if None). Raises Transient, or the RegistryError that another try would end in
        too.
        """
        what = describe(method, url)
        sized = {"Content-Length": str(len(body))} if body is not None else {}
        # Not by `prepare`, which re-quotes URLs, and sends in chunks what has no length that it knows.
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
            # Without query and headers: these hold tokens and signatures.
            LOG.debug("%s: %s after %.3f s", what, status, time.monotonic() - begun)
        return Incoming(answer, what)

    def close(self) -> None:
        """Close the idle connections of all threads; one that is in use is closed when its answer has been read."""
        with self._guard:
            adapters = list(self._adapters)
        for adapter in adapters:
            adapter.close()

    def _count(self, method: str, status: str) -> None:
        """Count a request; one that the registry led to another host counts for the registry."""
        telemetry.count(telemetry.HTTP_REQUESTS, registry=self._host, method=method, status=status)
        if status == _TOO_MANY:
            telemetry.count(telemetry.RATE_LIMITED, registry=self._host)

    def _adapter(self) -> Adapter:
        adapter: Adapter | None = getattr(self._local, "adapter", None)
        if adapter is None:
            adapter = self._local.adapter = Adapter(self._tls, self._limits.idle_timeout, self._connected)
            with self._guard:
                self._adapters.add(adapter)
        return adapter

    def _tls(self, host: str) -> ssl.SSLContext:
        """Return how a host is spoken to: a client certificate is for the registry itself, not for where it leads."""
        own = host.lower().strip("[]") == host_of(f"//{self._host}")
        with self._guard:
            if own not in self._contexts:
                self._contexts[own] = tls_context(self._host, self._settings, introduce=own)
            return self._contexts[own]

    def _connected(self, host: str, address: str) -> None:
        """Look at where a new connection leads.

        Raises AddressForbidden where a name that looks public, the registry's own too, stands for an inward address,
        unless the registry has been inward from the start; and for a link-local address always.
        """
        inward = is_inward(address)
        if host.lower() == host_of(f"//{self._host}") and self._inward is None:
            self._inward = inward
        elif inward and not self._inward:
            raise AddressForbidden(f"{self._host} leads to {host}, which is an inward address.")
        if is_never_asked(address):
            raise AddressForbidden(f"{host} is at {address}, where no registry is.")
