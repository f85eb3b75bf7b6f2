"""Checks of one registry by the requests of a push, with the same settings and credentials; they return facts."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from tasks.errors import RegistryError
from tasks.registry.auth.credentials import CredentialStore
from tasks.registry.blob.session import session_of
from tasks.registry.budget import UnboundedBudgets
from tasks.registry.http.addresses import host_of
from tasks.registry.http.connections import Connections
from tasks.registry.http.exchange import Request
from tasks.registry.http.retry import RetryPolicy
from tasks.registry.http.scheme import Endpoint, Pong, host_for, is_loopback
from tasks.registry.settings import RegistryConfiguration, Role
from tasks.registry.transport import Transport

_ROLES: Final[tuple[Role, ...]] = ("source", "destination")
_CANCELLED: Final = frozenset({200, 202, 204})
_ANY_REFUSAL: Final = frozenset({400, 401, 403, 404, 405, 501})


@dataclass(frozen=True, kw_only=True)
class Ping:
    """The answer of an API's base; `ahead` is the lead of this clock in seconds, None without a date."""

    status: int
    is_https: bool
    is_loopback: bool
    ahead: float | None

    @property
    def asks_for_credentials(self) -> bool:
        """Whether the registry challenges anonymous requests (distribution-spec 1.1, "Determining Support")."""
        return self.status == HTTPStatus.UNAUTHORIZED


class Probe:
    """The checks of one registry; each raises RegistryError, AuthenticationRefused and NotFound among them."""

    def __init__(self, registry: str, configuration: RegistryConfiguration) -> None:
        self.registry = registry
        self._configuration = configuration
        self._store = CredentialStore(configuration)
        self._transports: dict[Role, Transport] = {}

    def ping(self) -> Ping:
        """Return the answer of the API's base, by https or http as the settings allow."""
        settings, limits = self._configuration.settings(self.registry, "destination"), self._configuration.limits
        connections = Connections(host_for(self.registry), settings, limits)
        answers: list[Ping] = []

        def ask(base: str) -> Pong:
            asked = time.time()
            incoming = connections.exchange("GET", f"{base}/v2/", {})
            between = (asked + time.time()) / 2
            incoming.read(limits.error_bytes, limits.answer_timeout)
            answers.append(self._ping(base, incoming.status, between, incoming.headers))
            return Pong(base, incoming.status, incoming.headers)

        endpoint = Endpoint(self.registry, settings, ask, lambda _: None)
        RetryPolicy(limits.tries, limits.longest_wait).run(endpoint.base)
        return answers[-1]

    def _ping(self, base: str, status: int, now: float, headers: Mapping[str, str]) -> Ping:
        return Ping(
            status=status,
            is_https=base.startswith("https:"),
            is_loopback=is_loopback(host_of(f"//{host_for(self.registry)}")),
            ahead=_ahead(now, headers.get("Date")),
        )

    def verifies_tls(self) -> bool:
        """Tell whether the certificate is verified."""
        return self._configuration.settings(self.registry, "destination").tls_verify

    def roles(self) -> tuple[Role, ...]:
        """Return the roles with different users: one role if both have the same user."""
        of_role = {role: self._configuration.settings(self.registry, role).credentials for role in _ROLES}
        return ("destination",) if of_role["source"] == of_role["destination"] else _ROLES

    def has_credentials(self, role: Role, repository: str = "") -> bool:
        """Tell whether this role has credentials for the registry, or for a repository of it."""
        return self._store.find(self.registry, repository, role) is not None

    def log_in(self, role: Role) -> None:
        """Request the API's base with the credentials of a role."""
        self._transport(role).send(Request(method="GET", target="/v2/", repository="", scopes=frozenset()))

    def pull(self, repository: str) -> None:
        """List the tags of a repository, which may be absent, as the destination's user, with pull scope only."""
        self._transport("destination").send(
            Request(
                method="GET",
                target=f"/v2/{repository}/tags/list",
                repository=repository,
                scopes=frozenset({f"repository:{repository}:pull"}),
                expect=frozenset({200, 404}),
            )
        )

    def open_upload(self, repository: str) -> bool:
        """Open an upload and cancel it; return whether the registry cancelled it.

        The opening is distribution-spec 1.1, "Pushing blobs", the cancellation is Distribution's own.
        """
        transport = self._transport("destination")
        scopes = frozenset({f"repository:{repository}:pull,push"})
        opening = Request(
            method="POST",
            target=f"/v2/{repository}/blobs/uploads/",
            repository=repository,
            scopes=scopes,
            body=b"",
            expect=frozenset({202}),
        )
        closing = Request(
            method="DELETE",
            target=session_of(transport.send(opening)).location,
            repository=repository,
            scopes=scopes,
            expect=_CANCELLED | _ANY_REFUSAL,
        )
        try:
            return transport.send(closing).status in _CANCELLED
        except RegistryError:
            return False

    def _transport(self, role: Role) -> Transport:
        if role not in self._transports:
            known = self._configuration, self._store, UnboundedBudgets()
            self._transports[role] = Transport(self.registry, role, *known)
        return self._transports[role]


def _ahead(now: float, date: str | None) -> float | None:
    """Return the seconds by which `now` is ahead of a Date header, None for an invalid one (RFC 9110, 6.6.1)."""
    try:
        # The header has whole seconds: half a second more is the likeliest.
        return now - parsedate_to_datetime(date or "").timestamp() - 0.5
    except (ValueError, OverflowError):
        return None
