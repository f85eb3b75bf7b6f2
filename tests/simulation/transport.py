"""Stands in place of `tasks.registry.transport.Transport`: requests go to a model instead of a socket."""

from collections.abc import Mapping
from typing import Any, Final

from tasks.errors import RegistryError, RegistryUnavailable, Side
from tasks.registry.budget import Budget, Budgets
from tasks.registry.http.exchange import Request, Response
from tasks.registry.http.refusal import refusal
from tasks.registry.http.retry import RetryPolicy, Transient
from tasks.registry.referrers import ReferrersKnown
from tasks.registry.settings import RegistryConfiguration, Role
from tasks.registry.transport import Transport as HttpTransport
from tests.simulation import primitives
from tests.simulation.decisions import Kind
from tests.simulation.registry_model import Answer, Registry
from tests.simulation.scheduler import LostAnswer, Refused, Scheduler

_UNAVAILABLE: Final = 503


class Network:
    """The registries of a run, by host, and the clients' way to them."""

    def __init__(self, scheduler: Scheduler, registries: Mapping[str, Registry]) -> None:
        self.scheduler = scheduler
        self.registries = registries


_network: list[Network] = []


def use(network: Network | None) -> None:
    """Let all transports that are made from now on lead to the registries of one run."""
    _network[:] = [] if network is None else [network]


class Incoming:
    """A blob on its way."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def receive(self, most: int) -> bytes:
        piece, self._content = self._content[:most], self._content[most:]
        if not piece:
            raise Transient("the content ended")
        return piece

    def close(self) -> None:
        return


class Endpoint:
    """The base of a registry that is known from the start."""

    def __init__(self, registry: str) -> None:
        self._base = f"https://{registry}"

    def base(self) -> str:
        return self._base


class Redirects:
    """The way of a request to the model of a registry, which redirects nothing."""

    def __init__(self, host: str, network: Network, budget: Budget, longest_wait: float) -> None:
        self._host = host
        self._network = network
        self._budget = budget
        self._longest_wait = longest_wait

    def follow(self, request: Request, base: str, url: str) -> tuple[Response, str | None]:
        del base
        with self._budget.request(self._longest_wait):
            answer = self._exchange(request)
        streamed = request.stream and answer.status in request.expect
        incoming: Any = Incoming(answer.body) if streamed else None
        return Response(answer.status, answer.headers, url, True, b"" if streamed else answer.body, incoming), None

    def _exchange(self, request: Request) -> Answer:
        scheduler = self._network.scheduler
        registry = self._network.registries[self._host]
        body = request.body or b""
        content = body if isinstance(body, bytes) else b"".join(bytes(piece) for piece in body)
        path = request.target.removeprefix(f"https://{self._host}")
        author = scheduler.thread.push_id

        def act() -> Answer:
            if registry.away_until > scheduler.now:
                return Answer(_UNAVAILABLE)
            return registry.request(request.method, path, request.headers, content, author)

        try:
            return scheduler.call(*self._described(request.method, path), act, f"{self._host}{_shown(path)}")
        except LostAnswer:
            raise Transient(f"{request.method} {self._host}: no answer within the time allowed") from None
        except Refused as refused:
            headers = {} if refused.retry_after is None else {"Retry-After": f"{refused.retry_after:g}"}
            return Answer(refused.status, headers)

    def _described(self, method: str, path: str) -> tuple[str, Kind]:
        tagged = "/manifests/" in path and "/manifests/sha256:" not in path
        reading = method in {"GET", "HEAD"}
        kind = Kind.READ if reading else Kind.WRITE
        if tagged and "/publish" in self._network.scheduler.thread.name:
            kind = Kind.MOVE if reading else Kind.PUT
        return f"{method} {self._host}{_shown(path)}", kind


class Transport(HttpTransport):
    """The way to one registry in one role: retries and judgement are real, the exchange is the model's."""

    def __init__(
        self, registry: str, role: Role, configuration: RegistryConfiguration, store: Any, budgets: Budgets, forms: Any
    ) -> None:
        del store
        self.registry = registry
        self.settings = configuration.settings(registry, role)
        self.limits = limits = configuration.limits
        self.forms = forms
        self.read_by_push = False
        self.referrers = ReferrersKnown()
        self.policy = RetryPolicy(
            limits.tries,
            limits.longest_wait,
            chance=primitives.chance,
            sleep=primitives.sleep,
            side=Side(role),
            retry_after_limit=limits.retry_after_limit,
        )
        self._host = registry
        self._shared = budgets.of(
            registry, "default", self.settings.requests_at_once, self.settings.requests_per_second
        )
        self._redirects: Any = Redirects(registry, _network[0], self._shared, limits.longest_wait)
        self._endpoint: Any = Endpoint(registry)

    def require_push(self, repository: str, scopes: frozenset[str]) -> None:
        return

    def _budget(self, repository: str) -> Budget:
        del repository
        return self._shared

    def _explained(self, error: RegistryUnavailable) -> RegistryUnavailable:
        return error

    def _refusal(self, request: Request, response: Response) -> RegistryError:
        return refusal(request.method, response)


def _shown(path: str) -> str:
    """Return what is asked for, short: `app:latest`, `app@1234abcd`, `app/blobs/1234abcd`."""
    path = path.removeprefix("/v2").partition("?")[0]
    name, manifests, reference = path.partition("/manifests/")
    if manifests:
        return f"{name}@{reference[7:15]}" if reference.startswith("sha256:") else f"{name}:{reference}"
    name, blobs, digest = path.partition("/blobs/sha256:")
    return f"{name}/blobs/{digest[:8]}" if blobs else path.rpartition("/uploads")[0] or path
