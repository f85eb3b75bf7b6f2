"""The checks of a source or destination registry: connection, TLS, and the permissions of the credentials."""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Final

from tasks.errors import AuthenticationRefused, ImagePusherError, NotFound, ResponseInvalid
from tasks.registry.http.failures import is_certificate_fault
from tasks.registry.probe import Ping, Probe
from tasks.registry.settings import RegistryConfiguration, Role
from workers.doctor.finding import Finding, fault, fine, judge_clock, unknown, warning

PROBED_REPOSITORY: Final = "imagepusher-doctor"

_ADVICE_ON_REACHING: Final = "Check the host's name, its port, and the network between."
# The error messages of different OpenSSL versions for an answer that is not TLS.
_NO_TLS: Final = ("wrong version number", "record layer failure", "packet length too long")


class RegistryExamination:
    """The examination of one registry; `repositories` are those to try a push to.

    With `read_only`, nothing is pushed, and tokens are requested for `pull` only: some registries create a repository
    when a client requests a token for `push`.
    """

    def __init__(
        self, registry: str, repositories: Sequence[str], configuration: RegistryConfiguration, *, read_only: bool
    ) -> None:
        self.registry = registry
        self._repositories = repositories
        self._probe = Probe(registry, configuration)
        self._read_only = read_only

    def examine(self) -> Iterator[Finding]:
        """Yield the findings; end early if no further check is possible."""
        try:
            ping = self._probe.ping()
        except ResponseInvalid as error:
            yield fault("registry.tls", self.registry, error.message, self._advice_on_tls(error))
            return
        except ImagePusherError as error:
            yield fault("registry.reachable", self.registry, error.message, _ADVICE_ON_REACHING)
            return
        yield self._judge_answer(ping)
        yield self._judge_scheme(ping)
        if ping.ahead is not None:
            yield judge_clock("this machine", self.registry, ping.ahead)
        roles = self._probe.roles()
        refused = False
        for role in roles:
            where = self.registry if len(roles) == 1 else f"{self.registry} as {role}"
            finding = self._log_in(where, role, asks=ping.asks_for_credentials)
            refused = refused or (finding.level == "error" and role == "destination")
            yield finding
        if not refused:
            for repository in self._repositories:
                yield from self._try(repository)

    def _judge_answer(self, ping: Ping) -> Finding:
        """Judge the status of `/v2/`: 200, or 401 with a challenge (distribution-spec 1.1, "Determining Support")."""
        check, found = "registry.reachable", f"the registry answers {ping.status} to GET /v2/"
        if ping.status == HTTPStatus.OK or ping.asks_for_credentials:
            return fine(check, self.registry, found)
        if ping.status >= HTTPStatus.INTERNAL_SERVER_ERROR or ping.status == HTTPStatus.TOO_MANY_REQUESTS:
            return fault(check, self.registry, found, "Look at its log and its limits; try again when it serves.")
        return warning(check, self.registry, found, "Is this the host of a registry's API?")

    def _judge_scheme(self, ping: Ping) -> Finding:
        check = "registry.tls"
        if not ping.is_https and ping.is_loopback:
            return fine(check, self.registry, "plain HTTP, on this machine only")
        if not ping.is_https:
            found = "plain HTTP: whoever is between reads the credentials"
            return warning(check, self.registry, found, "Serve it by TLS.")
        if not self._probe.verifies_tls():
            advice = f"Name its authority in `ca_file` of {self._table()}, and leave `tls_verify` on."
            return warning(check, self.registry, "TLS, its certificate not verified", advice)
        return fine(check, self.registry, "TLS, its certificate verified")

    def _log_in(self, where: str, role: Role, *, asks: bool) -> Finding:
        check = "registry.credentials"
        try:
            has_credentials = self._probe.has_credentials(role, next(iter(self._repositories), ""))
            if not asks:
                return fine(check, where, "the registry asks for none")
            if not has_credentials:
                found = "none are configured: the registry is asked as anybody may ask it"
                if role == "source" or not self._repositories:
                    return fine(check, where, found)
                advice = f"Set `username` and `password_file` in {self._table()}, or log in with podman or docker."
                return warning(check, where, found, advice)
            self._probe.log_in(role)
        except AuthenticationRefused as error:
            return fault(
                check, where, f"they are refused: {error.message}", f"Check user and password in {self._table()}."
            )
        except ImagePusherError as error:
            return fault(check, where, error.message, error.advice or "Mend what the message names.")
        return fine(check, where, "they are accepted")

    def _try(self, repository: str) -> Iterator[Finding]:
        where = f"{self.registry}/{repository}"
        if not self._read_only:
            yield self._try_to_push(where, repository)
            return
        yield self._try_to_pull(where, repository)
        yield unknown("registry.push", where, "whether it may be pushed to was not tried", "Leave out --read-only.")

    def _try_to_pull(self, where: str, repository: str) -> Finding:
        try:
            self._probe.pull(repository)
        except AuthenticationRefused as error:
            advice = "Some registries say so of a repository that does not exist; without --read-only pushing is tried."
            return warning("registry.pull", where, f"reading is refused: {error.message}", advice)
        except ImagePusherError as error:
            return fault("registry.pull", where, error.message, error.advice or "Look at the registry's log.")
        return fine("registry.pull", where, "it may be read")

    def _try_to_push(self, where: str, repository: str) -> Finding:
        check = "registry.push"
        try:
            cancelled = self._probe.open_upload(repository)
        except AuthenticationRefused as error:
            advice = "Let the user of these credentials push there, and create repositories."
            return fault(check, where, f"pushing is refused: {error.message}", advice)
        except NotFound as error:
            return fault(check, where, error.message, "Create the namespace, or let the target name one that exists.")
        except ImagePusherError as error:
            return fault(check, where, error.message, error.advice or "Is the registry read-only? Look at its log.")
        ended = "cancelled" if cancelled else "is left to expire: the registry does not cancel it"
        return fine(check, where, f"it may be pushed to: an upload was opened, and {ended}")

    def _advice_on_tls(self, error: ResponseInvalid) -> str:
        if any(word in error.message for word in _NO_TLS):
            return f"It seems to speak plain HTTP: set `plain_http = true` in {self._table()}, or serve it by TLS."
        if not is_certificate_fault(error):
            return f"Is this its host and port? Its log says whether it wants `client_certificate` in {self._table()}."
        return f"Set `ca_file` in {self._table()}, or let the registry serve a certificate that is valid for its name."

    def _table(self) -> str:
        return f'[registries."{self.registry}"]'
