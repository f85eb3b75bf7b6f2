"""What stands in place of `tasks.registry.transport.Transport`: the client's requests go to a model instead of a socket."""

from collections.abc import Mapping
from typing import Any, Final

from tasks.errors import ImagePusherError, Side
from tasks.registry.http.exchange import Request, Response, explain, refusal
from tasks.registry.http.retry import RETRIED_STATUSES, RetryPolicy, Transient, parse_retry_after
from tests.simulation import primitives
from tests.simulation.decisions import Kind
from tests.simulation.registry_model import Answer, Registry
from tests.simulation.scheduler import LostAnswer, Refused, Scheduler

_TOO_MANY: Final = 429
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


class _Habits:
    def __init__(self) -> None:
        self.patches = False

    def __getattr__(self, name: str) -> Any:
        return None


class Transport:
    """The way to one registry in one role: retries are real, the exchange is the model's."""

    def __init__(self, registry: str, role: str, configuration: Any, store: Any, budgets: Any) -> None:
        del store
        self.limits = configuration.limits
        self.read_by_push: set[str] = set()
        self.uploads = _Habits()
        self.policy = RetryPolicy(
            self.limits.tries,
            self.limits.longest_wait,
            chance=primitives.chance,
            sleep=primitives.sleep,
            side=Side(role),
        )
        settings = configuration.settings(registry, role)
        self._budget = budgets.of(registry, "default", settings.requests_at_once, settings.requests_per_second)
        self._host = registry
        self._network = _network[0]

    def send(self, request: Request, *, retry: bool = True) -> Response:
        if retry:
            return self.policy.run(lambda: self._attempt(request))
        try:
            return self._attempt(request)
        except ImagePusherError as error:
            self.policy.blame(error)
            raise

    def _attempt(self, request: Request) -> Response:
        with self._budget.request(self.limits.longest_wait):
            answer = self._exchange(request)
        url = f"https://{self._host}{request.target}"
        streamed = request.stream and answer.status in request.expect
        response = Response(
            answer.status,
            answer.headers,
            url,
            True,
            b"" if streamed else answer.body,
            incoming=Incoming(answer.body) if streamed else None,  # type: ignore[arg-type]
        )
        if answer.status in request.expect:
            return response
        if answer.status in RETRIED_STATUSES:
            asked = parse_retry_after(answer.headers.get("Retry-After"), primitives.wall())
            if answer.status == _TOO_MANY:
                self._budget.limited(asked)
            raise Transient(explain(request.method, response), response.status, asked)
        raise refusal(request.method, response)

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
        return f"{method} {self._host}{_shown(path)}", Kind.MOVE if tagged else kind


def _shown(path: str) -> str:
    """Return what is asked for, short: `app:latest`, `app@1234abcd`, `app/blobs/1234abcd`."""
    path = path.removeprefix("/v2").partition("?")[0]
    name, manifests, reference = path.partition("/manifests/")
    if manifests:
        return f"{name}@{reference[7:15]}" if reference.startswith("sha256:") else f"{name}:{reference}"
    name, blobs, digest = path.partition("/blobs/sha256:")
    return f"{name}/blobs/{digest[:8]}" if blobs else path.rpartition("/uploads")[0] or path
