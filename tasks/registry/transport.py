"""Requests to one registry in one role: authentication, redirects, retries, errors (BEHAVIOUR section 8)."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from tasks import telemetry
from tasks.errors import AddressForbidden, ImagePusherError, ResponseInvalid, Side
from tasks.oci.digest import digest_of
from tasks.registry.auth.authentication import Authentication
from tasks.registry.auth.credentials import CredentialStore
from tasks.registry.auth.tokens import TokenSource
from tasks.registry.budget import Budgets
from tasks.registry.http.addresses import forbid_inward, host_of
from tasks.registry.http.answer import Incoming
from tasks.registry.http.connections import Connections
from tasks.registry.http.endpoint import Endpoint, Pong, host_for, is_loopback
from tasks.registry.http.exchange import Request, Response, describe, explain, refusal
from tasks.registry.http.retry import RETRIED_STATUSES, RetryPolicy, Transient, parse_retry_after
from tasks.registry.settings import RegistryConfiguration, Role

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# What may be sent elsewhere with its method and body (RFC 9110, 15.4); of a write no other redirect makes sense.
_REPEATING: Final = frozenset({307, 308})
_MOST_REDIRECTS: Final = 5
_UNAUTHORIZED: Final = 401
_TOO_MANY: Final = 429
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(slots=True)
class UploadHabits:
    """What uploads have found out about a registry: whether it takes a blob only by PATCH."""

    patches: bool = False


class Transport:
    """The way to one registry in one role; threads share it."""

    def __init__(
        self,
        registry: str,
        role: Role,
        configuration: RegistryConfiguration,
        store: CredentialStore,
        budgets: Budgets,
    ) -> None:
        settings = configuration.settings(registry, role)
        self.limits = configuration.limits
        self.uploads = UploadHabits()
        # Repositories that let one read only with a token that is good for `push` too (BEHAVIOUR 3.4).
        self.read_by_push: set[str] = set()
        self._host = host_for(registry)
        self.policy = RetryPolicy(
            self.limits.tries, self.limits.longest_wait, on_retry=self._count_retry, side=Side(role)
        )
        self._connections = Connections(self._host, settings, self.limits)
        self._authentication = Authentication(registry, role, store, TokenSource(self._fetch_token))
        # Roles that ask as the same user share a budget; keys of Redis do not show who that is.
        who = settings.credentials.username if settings.credentials is not None else ""
        shown = digest_of(who.encode()).removeprefix("sha256:")[:12] if who else "default"
        self._budget = budgets.of(self._host, shown, settings.requests_at_once, settings.requests_per_second)
        self._endpoint = Endpoint(registry, settings, self._ping, self._learn_base)

    def send(self, request: Request, *, retry: bool = True) -> Response:
        """Return the response if its status is expected.

        Without `retry` there is one try, which raises Transient where another is worthwhile: for callers that resume
        instead of repeating. Raises RegistryError.
        """
        if retry:
            return self.policy.run(lambda: self._attempt(request))
        try:
            return self._attempt(request)
        except ImagePusherError as error:
            self.policy.blame(error)
            raise

    def close(self) -> None:
        """Close the idle connections of all threads."""
        self._connections.close()

    def _count_retry(self) -> None:
        telemetry.count(telemetry.HTTP_RETRIES, registry=self._host)

    def _attempt(self, request: Request) -> Response:
        base = self._endpoint.base()
        url = request.target
        if url.startswith("/"):
            url = f"{base}{url}"
        else:
            self._check_hop(base, url)
        response, sent = self._follow(request, base, url)
        if response.status == _UNAUTHORIZED and response.own and _UNAUTHORIZED not in request.expect:
            learnt = self._authentication.learn(
                response.headers.get("WWW-Authenticate"),
                request.repository,
                request.scopes,
                sent,
                secure=base.startswith("https:"),
            )
            if not learnt:
                raise refusal(request.method, response)
            if request.streams_body:
                # How much of the body was taken in, only the caller can find out.
                raise Transient(explain(request.method, response), response.status)
            response, _ = self._follow(request, base, url)
        if response.status in request.expect:
            return response
        if response.status in RETRIED_STATUSES:
            asked = parse_retry_after(response.headers.get("Retry-After"), time.time())
            if response.status == _TOO_MANY:
                self._budget.limited(asked)
            raise Transient(explain(request.method, response), response.status, asked)
        raise refusal(request.method, response)

    def _follow(self, request: Request, base: str, url: str) -> tuple[Response, str | None]:
        """Send a request where it leads, and return the last response with the Authorization that it had."""
        shown: str | None = None
        for _ in range(_MOST_REDIRECTS + 1):
            own = _origin(url) == _origin(base)
            headers = dict(request.headers)
            sent = self._authentication.header(request.repository, request.scopes) if own else None
            if sent is not None:
                headers["Authorization"] = shown = sent
            with self._budget.request(self.limits.longest_wait):
                incoming = self._connections.exchange(request.method, url, headers, request.body)
            response = self._read(request, incoming, url, own=own, shown=shown)
            location = response.location
            followed = _REDIRECTS if request.method in {"GET", "HEAD"} else _REPEATING
            if response.status not in followed or location is None:
                return response, sent
            self._check_hop(url, location)
            url = location
        raise ResponseInvalid(f"{describe(request.method, url)} redirects more than {_MOST_REDIRECTS} times.")

    def _read(self, request: Request, incoming: Incoming, url: str, *, own: bool, shown: str | None) -> Response:
        expected = incoming.status in request.expect
        if expected and request.stream:
            return Response(incoming.status, incoming.headers, url, own, incoming=incoming, authorization=shown)
        limit = request.limit if expected and request.limit is not None else self.limits.error_bytes
        content = incoming.read(limit, self.limits.answer_timeout)
        if expected and len(content) > limit:
            raise ResponseInvalid(f"{incoming.what} answered with more than {limit} bytes.")
        return Response(incoming.status, incoming.headers, url, own, content[:limit], authorization=shown)

    def _check_hop(self, origin: str, url: str) -> None:
        """Raise AddressForbidden for a URL that a registry must not lead to."""
        forbid_inward(self._host, url)
        scheme = url.partition(":")[0].lower()
        if scheme not in _DEFAULT_PORTS:
            raise AddressForbidden(f"{self._host} leads to an address that is neither http nor https.")
        if (
            scheme == "http"
            and origin.lower().startswith("https:")
            and not (is_loopback(host_of(origin)) and is_loopback(host_of(url)))
        ):
            raise AddressForbidden(f"{self._host} leads from https to http at {host_of(url)}.")

    def _ping(self, base: str) -> Pong:
        incoming = self._connections.exchange("GET", f"{base}/v2/", {})
        incoming.read(self.limits.error_bytes, self.limits.answer_timeout)
        return Pong(base, incoming.status, incoming.headers)

    def _learn_base(self, pong: Pong) -> None:
        """Take in the challenge of the base, so that the first request need not be refused."""
        if pong.status == _UNAUTHORIZED:
            self._authentication.learn(
                pong.headers.get("WWW-Authenticate"), "", frozenset(), None, secure=pong.url.startswith("https:")
            )

    def _fetch_token(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Ask a realm once: the request that needs the token is what is tried again."""
        incoming = self._connections.exchange(method, url, headers, body)
        content = incoming.read(self.limits.error_bytes, self.limits.answer_timeout)
        if incoming.status in RETRIED_STATUSES:
            asked = parse_retry_after(incoming.headers.get("Retry-After"), time.time())
            raise Transient(f"{incoming.what} answered {incoming.status}", incoming.status, asked)
        if len(content) > self.limits.error_bytes:
            raise ResponseInvalid(f"{incoming.what} answered with more than {self.limits.error_bytes} bytes.")
        return incoming.status, incoming.headers, content


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)
