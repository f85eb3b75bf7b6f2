"""Send a request and follow its redirects, within the budget of its user (RFC 9110, 15.4; BEHAVIOUR 8.2, 8.4)."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from msgspec.structs import replace

from tasks.errors import ResponseInvalid
from tasks.registry.auth.on_demand import AuthenticationOnDemand
from tasks.registry.budget import Budget
from tasks.registry.http.connections import Connections
from tasks.registry.http.exchange import Request, Response, describe
from tasks.registry.http.read_response import read_response
from tasks.registry.http.redirects import MOST_REDIRECTS, check_hop, is_same_origin, next_hop, secured
from tasks.registry.http.refusal import is_throttled
from tasks.registry.http.warning import take_warning
from tasks.registry.settings import HttpLimits

# Answers of a blob store to a URL whose signature has expired, or was made for another method.
_NOT_SIGNED_FOR: Final = frozenset({400, 401, 403})


class Redirects:
    """The redirects of one registry, which is served at `host`; `budget` returns that of a repository. Thread-safe."""

    def __init__(
        self,
        host: str,
        limits: HttpLimits,
        connections: Connections,
        authentication: AuthenticationOnDemand,
        budget: Callable[[str], Budget],
    ) -> None:
        self._host = host
        self._limits = limits
        self._connections = connections
        self._authentication = authentication
        self._budget = budget

    def follow(self, request: Request, base: str, url: str) -> tuple[Response, str | None]:
        """Send a request to `url` and return the last response with the Authorization of its request.

        Only addresses of the origin of `base` get an Authorization. If a blob store refuses a URL that the registry
        signed, the registry is asked once for a new one. A HEAD gets the status of an unsupported method instead, if
        expected: the signature may be for GET. Raises Transient, RegistryError.
        """
        shown: str | None = None
        at, hops, may_ask_again = url, 0, request.method == "GET"
        may_be_unsupported = request.method == "HEAD" and HTTPStatus.METHOD_NOT_ALLOWED in request.expect
        while hops <= MOST_REDIRECTS:
            own = is_same_origin(at, base)
            headers = dict(request.headers)
            sent = self._header(request) if own else None
            if sent is not None:
                headers["Authorization"] = shown = sent
            budget = self._budget(request.repository)
            with budget.request(self._limits.longest_wait):
                incoming = self._connections.exchange(request.method, at, headers, request.body, request.patience)
            response = read_response(request, incoming, at, self._limits, own=own, authorization=shown)
            if not is_throttled(response):
                budget.served()
            take_warning(self._host, response.headers.get("Warning"), shown, at)
            location = next_hop(request.method, response)
            if location is not None:
                location = secured(base, location)
                check_hop(self._host, at, location)
                at, hops = location, hops + 1
            elif hops and may_ask_again and _is_signature_refused(response):
                at, hops, may_ask_again = url, 0, False
            elif hops and may_be_unsupported and _is_signature_refused(response):
                return replace(response, status=HTTPStatus.METHOD_NOT_ALLOWED), sent
            else:
                return response, sent
        raise ResponseInvalid(f"{describe(request.method, at)} redirects more than {MOST_REDIRECTS} times.")

    def _header(self, request: Request) -> str | None:
        return request.authorization or self._authentication.header(request.repository, request.scopes)


def _is_signature_refused(response: Response) -> bool:
    """Tell whether a host that a redirect led to refuses the signature of the URL."""
    return response.status in _NOT_SIGNED_FOR and not (response.own and response.status == HTTPStatus.UNAUTHORIZED)
