"""A registry that pushes go to or come from: reachable, by TLS, with credentials that suffice for what is due."""

import time
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from typing import Final

from tasks.errors import AuthenticationRefused, ImagePusherError, NotFound, RegistryError, ResponseInvalid
from tasks.registry.auth.credentials import CredentialStore
from tasks.registry.blob.upload import session_of
from tasks.registry.budget import UnboundedBudgets
from tasks.registry.http.addresses import host_of
from tasks.registry.http.connections import Connections
from tasks.registry.http.endpoint import Endpoint, Pong, host_for, is_loopback
from tasks.registry.http.exchange import Request
from tasks.registry.http.failures import is_certificate_fault
from tasks.registry.http.retry import RetryPolicy
from tasks.registry.settings import Credentials, RegistryConfiguration, Role
from tasks.registry.transport import Transport
from workers.doctor.finding import Finding, fault, fine, judge_clock, warning

PROBE: Final = "imagepusher-doctor"

_ROLES: Final[tuple[Role, ...]] = ("source", "destination")
_UNAUTHORIZED: Final = 401
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
_CANCELLED: Final = frozenset({200, 202, 204})
_ADVICE_ON_REACHING: Final = "Check the host's name, its port, and the network between."
# OpenSSL's words, as of different versions, for an answer that is not TLS.
_NO_TLS: Final = ("wrong version number", "record layer failure", "packet length too long")
_ANY_REFUSAL: Final = frozenset({400, 401, 403, 404, 405, 501})


class RegistryExamination:
    """What is to be asked of one registry; `repositories` are those to try to push to.

    With `read_only` nothing is pushed, and no more than `pull` is asked for: some registries create a repository for
    whoever asks for a token that may push.
    """

    def __init__(
        self, registry: str, repositories: Sequence[str], configuration: RegistryConfiguration, *, read_only: bool
    ) -> None:
        self.registry = registry
        self._repositories = repositories
        self._configuration = configuration
        self._read_only = read_only
        self._store = CredentialStore(configuration)
        self._transports: dict[Role, Transport] = {}

    def examine(self) -> Iterator[Finding]:
        """Yield what is found; ends early where there is nothing more to ask."""
        try:
            pong, ahead = self._reach()
        except ResponseInvalid as error:
            yield fault("registry.tls", self.registry, error.message, self._advice_on_tls(error))
            return
        except ImagePusherError as error:
            yield fault("registry.reachable", self.registry, error.message, _ADVICE_ON_REACHING)
            return
        yield self._judge_answer(pong)
        yield self._judge_scheme(pong)
        if ahead is not None:
            yield judge_clock("this machine", self.registry, ahead)
        refused = False
        for where, role in self._who():
            finding = self._log_in(where, role, asks=pong.status == _UNAUTHORIZED)
            refused = refused or (finding.level == "error" and role == "destination")
            yield finding
        if not refused:
            yield from map(self._try, self._repositories)

    def _reach(self) -> tuple[Pong, float | None]:
        """Return the answer of the API's base, and how many seconds this clock is ahead of what it is dated."""
        settings, limits = self._configuration.settings(self.registry, "destination"), self._configuration.limits
        connections = Connections(host_for(self.registry), settings, limits)
        answers: list[tuple[Pong, float | None]] = []

        def ping(base: str) -> Pong:
            asked = time.time()
            incoming = connections.exchange("GET", f"{base}/v2/", {})
            between = (asked + time.time()) / 2
            incoming.read(limits.error_bytes, limits.answer_timeout)
            pong = Pong(base, incoming.status, incoming.headers)
            answers.append((pong, _ahead(between, incoming.headers.get("Date"))))
            return pong

        endpoint = Endpoint(self.registry, settings, ping, lambda _: None)
        RetryPolicy(limits.tries, limits.longest_wait).run(endpoint.base)
        return answers[-1]

    def _judge_answer(self, pong: Pong) -> Finding:
        """Judge the status of the base: 200, or 401 with a challenge (distribution-spec 1.1, "Determining Support")."""
        check, found = "registry.reachable", f"the registry answers {pong.status} to GET /v2/"
        if pong.status in {200, _UNAUTHORIZED}:
            return fine(check, self.registry, found)
        if pong.status >= _SERVER_ERROR or pong.status == _TOO_MANY:
            return fault(check, self.registry, found, "Look at its log and its limits; try again when it serves.")
        return warning(check, self.registry, found, "Is this the host of a registry's API?")

    def _judge_scheme(self, pong: Pong) -> Finding:
        if pong.url.startswith("http:"):
            if is_loopback(host_of(f"//{host_for(self.registry)}")):
                return fine("registry.tls", self.registry, "plain HTTP, on this machine only")
            return warning(
                "registry.tls",
                self.registry,
                "plain HTTP: whoever is between reads the credentials",
                "Serve it by TLS.",
            )
        if not self._configuration.settings(self.registry, "destination").tls_verify:
            advice = f"Name its authority in `ca_file` of {self._table()}, and leave `tls_verify` on."
            return warning("registry.tls", self.registry, "TLS, its certificate not verified", advice)
        return fine("registry.tls", self.registry, "TLS, its certificate verified")

    def _who(self) -> Iterator[tuple[str, Role]]:
        """Yield the roles to log in as: one, if both roles ask as the same user."""
        of_role = {role: self._configuration.settings(self.registry, role).credentials for role in _ROLES}
        if of_role["source"] == of_role["destination"]:
            yield self.registry, "destination"
            return
        for role in _ROLES:
            yield f"{self.registry} as {role}", role

    def _log_in(self, where: str, role: Role, *, asks: bool) -> Finding:
        check = "registry.credentials"
        try:
            credentials = self._credentials(role)
            if not asks:
                return fine(check, where, "the registry asks for none")
            if credentials is None:
                found = "none are configured: the registry is asked as anybody may ask it"
                if role == "source" or not self._repositories:
                    return fine(check, where, found)
                advice = f"Set `username` and `password_file` in {self._table()}, or log in with podman or docker."
                return warning(check, where, found, advice)
            self._transport(role).send(Request(method="GET", target="/v2/", repository="", scopes=frozenset()))
        except AuthenticationRefused as error:
            return fault(
                check, where, f"they are refused: {error.message}", f"Check user and password in {self._table()}."
            )
        except ImagePusherError as error:
            return fault(check, where, error.message, error.advice or "Mend what the message names.")
        return fine(check, where, "they are accepted")

    def _credentials(self, role: Role) -> Credentials | None:
        repository = self._repositories[0] if self._repositories else ""
        return self._store.find(self.registry, repository, role)

    def _try(self, repository: str) -> Finding:
        where = f"{self.registry}/{repository}"
        return self._try_to_pull(where, repository) if self._read_only else self._try_to_push(where, repository)

    def _try_to_pull(self, where: str, repository: str) -> Finding:
        request = Request(
            method="GET",
            target=f"/v2/{repository}/tags/list",
            repository=repository,
            scopes=frozenset({f"repository:{repository}:pull"}),
            expect=frozenset({200, 404}),
        )
        try:
            self._transport("destination").send(request)
        except AuthenticationRefused as error:
            advice = "Some registries say so of a repository that does not exist; without --read-only pushing is tried."
            return warning("registry.pull", where, f"reading is refused: {error.message}", advice)
        except ImagePusherError as error:
            return fault("registry.pull", where, error.message, error.advice or "Look at the registry's log.")
        return fine("registry.pull", where, "it may be read; whether it may be pushed to was not tried")

    def _try_to_push(self, where: str, repository: str) -> Finding:
        """Open an upload and cancel it (distribution-spec 1.1, "Pushing blobs"; the cancellation is Distribution's)."""
        check, transport = "registry.push", self._transport("destination")
        scopes = frozenset({f"repository:{repository}:pull,push"})
        opening = Request(
            method="POST",
            target=f"/v2/{repository}/blobs/uploads/",
            repository=repository,
            scopes=scopes,
            body=b"",
            expect=frozenset({202}),
        )
        try:
            location = session_of(transport.send(opening)).location
        except AuthenticationRefused as error:
            advice = "Let the user of these credentials push there, and create repositories."
            return fault(check, where, f"pushing is refused: {error.message}", advice)
        except NotFound as error:
            return fault(check, where, error.message, "Create the namespace, or let the target name one that exists.")
        except ImagePusherError as error:
            return fault(check, where, error.message, error.advice or "Is the registry read-only? Look at its log.")
        closing = Request(
            method="DELETE",
            target=location,
            repository=repository,
            scopes=scopes,
            expect=_CANCELLED | _ANY_REFUSAL,
        )
        try:
            cancelled = transport.send(closing).status in _CANCELLED
        except RegistryError:
            cancelled = False
        ended = "cancelled" if cancelled else "is left to expire: the registry does not cancel it"
        return fine(check, where, f"it may be pushed to: an upload was opened, and {ended}")

    def _transport(self, role: Role) -> Transport:
        if role not in self._transports:
            known = self._configuration, self._store, UnboundedBudgets()
            self._transports[role] = Transport(self.registry, role, *known)
        return self._transports[role]

    def _advice_on_tls(self, error: ResponseInvalid) -> str:
        if any(word in error.message for word in _NO_TLS):
            return f"It seems to speak plain HTTP: set `plain_http = true` in {self._table()}, or serve it by TLS."
        if not is_certificate_fault(error):
            return f"Is this its host and port? Its log says whether it wants `client_certificate` in {self._table()}."
        return f"Set `ca_file` in {self._table()}, or let the registry serve a certificate that is valid for its name."

    def _table(self) -> str:
        return f'[registries."{self.registry}"]'


def _ahead(now: float, date: str | None) -> float | None:
    """Return how many seconds `now` is ahead of a Date header, None where that says nothing (RFC 9110, 6.6.1)."""
    try:
        # Whole seconds: half of one more is the likeliest.
        return now - parsedate_to_datetime(date or "").timestamp() - 0.5
    except (ValueError, OverflowError):
        return None
