"""What an answer of a product's API does to a push, and what it leaves alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tasks.errors import ResponseInvalid
from tasks.registry.auth.credentials import CredentialStore
from tasks.registry.preflight.questions import Asking
from tasks.registry.settings import RegistryConfiguration
from tasks.registry.transport import Transport
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.unit.registry.clients import NAME, QUICK

QUESTION = "/api/v2.0/projects/team/summary"
LIMITS = [
    Answer(429, {"Retry-After": "7200"}),
    Answer(403, {"Retry-After": "60"}),
    Answer(400, body=b'{"errors": [{"code": "ThrottlingException", "message": "Rate exceeded"}]}'),
]


class _Heard:
    """Budgets, and the budget of each user, that note which limits they are told of."""

    def __init__(self) -> None:
        self.limits: list[float | None] = []

    def of(self, registry: str, who: str, at_once: int, per_second: float | None) -> "_Heard":
        del registry, who, at_once, per_second
        return self

    @contextmanager
    def request(self, patience: float) -> Iterator[None]:
        del patience
        yield

    def served(self) -> None: ...

    def limited(self, retry_after: float | None, said: str = "") -> None:
        del said
        self.limits.append(retry_after)


@pytest.mark.parametrize("reply", LIMITS)
def test_a_limit_of_the_api_is_none_of_the_registry(reply: Answer) -> None:
    """8.3."""
    heard = _Heard()
    with ScriptedRegistry(Exchange("GET", "/v2/", Answer(200)), Exchange("GET", QUESTION, reply)) as registry:
        configuration = RegistryConfiguration(limits=QUICK)
        transport = Transport(registry.host, "destination", configuration, CredentialStore(configuration), heard)
        with pytest.raises(ResponseInvalid, match=str(reply.status)):
            Asking(transport).document(QUESTION, object, repository=NAME, authorization="Bearer t")
    assert heard.limits == []
