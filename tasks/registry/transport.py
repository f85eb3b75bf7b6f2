"""Requests to one registry in one role: authentication, retries, errors (BEHAVIOUR section 8)."""

import time
from functools import partial
from http import HTTPStatus

from tasks import telemetry
from tasks.errors import RegistryError, RegistryReadOnly, RegistryUnavailable, Side
from tasks.oci.digest import digest_of
from tasks.registry.auth.credentials import CredentialStore
from tasks.registry.auth.on_demand import AuthenticationOnDemand
from tasks.registry.budget import Budget, Budgets
from tasks.registry.follow_redirects import Redirects
from tasks.registry.http.connections import Connections
from tasks.registry.http.exchange import Request, Response
from tasks.registry.http.redirects import check_hop, secured
from tasks.registry.http.refusal import explain, is_page_for_write, is_throttled, refusal
from tasks.registry.http.retry import RETRIED_STATUSES, RetryPolicy, Transient, parse_retry_after
from tasks.registry.http.scheme import Endpoint, Pong, host_for
from tasks.registry.referrers import ReferrersKnown
from tasks.registry.registry_share import current_visit
from tasks.registry.settings import RegistryConfiguration, Role
from tasks.registry.upload_forms import LocalUploadForms, UploadForms


class Transport:
    """The requests to one registry in one role. Thread-safe."""

    # Whether the registry says which tags a manifest got with one request, None before the first such request.
    names_tags: bool | None = None

    def __init__(
        self,
        registry: str,
        role: Role,
        configuration: RegistryConfiguration,
        store: CredentialStore,
        budgets: Budgets,
        forms: UploadForms | None = None,
    ) -> None:
        self.registry = registry
        self.settings = settings = configuration.settings(registry, role)
        self.limits = limits = configuration.limits
        self.forms = forms or LocalUploadForms()
        # Whether reading a repository needs a token for `push` too (BEHAVIOUR 3.4).
        self.read_by_push = False
        self.referrers = ReferrersKnown()
        self._host = host_for(registry)
        self.policy = RetryPolicy(
            limits.tries,
            limits.longest_wait,
            on_retry=self._count_retry,
            side=Side(role),
            retry_after_limit=limits.retry_after_limit,
        )
        self._connections = Connections(self._host, settings, limits, partial(current_visit, role, registry))
        self._authentication = AuthenticationOnDemand(registry, role, store, self._connections, limits)
        self._budgets = budgets
        self._redirects = Redirects(self._host, limits, self._connections, self._authentication, self._budget)
        self._endpoint = Endpoint(registry, settings, self._ping, self._learn_base)

    def send(self, request: Request, *, retry: bool = True) -> Response:
        """Return the response if its status is expected.

        Without `retry` there is one try, which raises Transient if another is worthwhile: for callers that resume
        instead of repeating. Raises RegistryError.
        """
        says_nothing = False
        try:
            for attempt in self.policy.attempts() if retry else self.policy.once():
                with attempt:
                    base = self._endpoint.base()
                    url = self._url(request, base)
                    response, sent = self._redirects.follow(request, base, url)
                    if self._learns(request, response, base, sent):
                        response, _ = self._redirects.follow(request, base, url)
                    says_nothing = request.method == "HEAD" and response.status == HTTPStatus.SERVICE_UNAVAILABLE
                    return self._expected(request, response)
        except RegistryUnavailable as error:
            raise (self._explained(error) if says_nothing else error) from None
        raise TypeError("the last try has a response or an error")

    def basic(self, repository: str) -> str | None:
        """Return the Authorization value with user and password, for an API beside that of the distribution."""
        return self._authentication.basic(repository)

    def close(self) -> None:
        """Close the idle connections of all threads."""
        self._connections.close()

    def _count_retry(self) -> None:
        telemetry.count(telemetry.HTTP_RETRIES, registry=self._host)

    def require_push(self, repository: str, scopes: frozenset[str]) -> None:
        """Raise RightMissing or NamespaceMissing if the token for a repository does not allow a push to it.

        If the token is not readable, or not needed, the first write to the registry will tell.
        """

        def look() -> None:
            self._endpoint.base()
            sent = self._authentication.header(repository, scopes)
            if sent is None:
                return
            # An open registry asks for no token.
            from tasks.registry.auth.missing_right import missing_right  # noqa: PLC0415

            if error := missing_right(self._authentication, self._host, repository, sent):
                raise error

        self.policy.run(look)

    def _url(self, request: Request, base: str) -> str:
        """Return the URL of a request; raises AddressForbidden for one to which the registry must not lead."""
        if request.target.startswith("/"):
            return f"{base}{request.target}"
        target = secured(base, request.target)
        if not target.startswith(f"{base}/"):
            check_hop(self._host, base, target)
        return target

    def _learns(self, request: Request, response: Response, base: str, sent: str | None) -> bool:
        """Tell whether a refusal taught how to authenticate, so that the request may be sent again."""
        if response.status != HTTPStatus.UNAUTHORIZED or not response.own or HTTPStatus.UNAUTHORIZED in request.expect:
            return False
        challenge, secure = response.headers.get("WWW-Authenticate"), base.startswith("https:")
        if not self._authentication.learn(challenge, request.repository, request.scopes, sent, secure=secure):
            raise self._refusal(request, response)
        if request.streams_body:
            # Only the caller can find out how much of the body the registry took.
            raise Transient(explain(request.method, response), response.status)
        return True

    def _expected(self, request: Request, response: Response) -> Response:
        """Return a response of an expected status; raises the error that any other status means."""
        # A caller that expects 429 as an answer hears of limits itself.
        throttled = is_throttled(response) and HTTPStatus.TOO_MANY_REQUESTS not in request.expect
        if response.status in request.expect and not throttled and not is_page_for_write(request.method, response):
            return response
        if response.status in RETRIED_STATUSES or throttled:
            raise self._transient(request, response)
        raise self._refusal(request, response)

    def _transient(self, request: Request, response: Response) -> Transient:
        """Return the error that causes another try, after the pause that the registry asks for."""
        asked = parse_retry_after(response.headers.get("Retry-After"), time.time())
        if is_throttled(response):
            believed = asked if asked is None or asked <= self.limits.retry_after_limit else None
            self._budget(request.repository).limited(believed, explain(request.method, response))
        error = refusal(request.method, response)
        asked = error.retry_after if asked is None else asked
        return Transient(explain(request.method, response), response.status, asked, type(error))

    def _explained(self, error: RegistryUnavailable) -> RegistryUnavailable:
        """Return the error of a HEAD, which has no body, with the reason that the base of the API gives for its own."""
        url = f"{self._endpoint.base()}/v2/"
        try:
            incoming = self._connections.exchange("GET", url, {})
            content = incoming.read(self.limits.error_bytes, self.limits.answer_timeout)
        except Transient:
            return error
        response = Response(incoming.status, incoming.headers, url, own=True, content=content)
        found = refusal("GET", response)
        if not isinstance(found, RegistryReadOnly):
            return error
        return RegistryReadOnly(f"{error.message} {explain('GET', response)}.", found.retry_after, error.side)

    def _refusal(self, request: Request, response: Response) -> RegistryError:
        """Return the error that an answer means, with the reason if only this side knows it."""
        # Few requests are refused.
        from tasks.registry.auth.missing_right import refusal_with_right  # noqa: PLC0415

        error = refusal_with_right(self._authentication, self._host, request, response)
        error.status = response.status
        return error

    def _budget(self, repository: str) -> Budget:
        """Return the budget of the user for a repository; keys of Redis do not show the user."""
        user = self._authentication.user(repository)
        who = digest_of(user.encode()).removeprefix("sha256:")[:12] if user else "default"
        return self._budgets.of(self._host, who, self.settings.requests_at_once, self.settings.requests_per_second)

    def _ping(self, base: str) -> Pong:
        incoming = self._connections.exchange("GET", f"{base}/v2/", {})
        incoming.read(self.limits.error_bytes, self.limits.answer_timeout)
        return Pong(base, incoming.status, incoming.headers)

    def _learn_base(self, pong: Pong) -> None:
        """Learn from the challenge of the API's base: the first request is then not refused."""
        if pong.status == HTTPStatus.UNAUTHORIZED:
            self._authentication.learn(
                pong.headers.get("WWW-Authenticate"), "", frozenset(), None, secure=pong.url.startswith("https:")
            )
