"""The questions of one push to the API of one registry: each is asked once, with one try."""

from collections.abc import Callable, Hashable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec

from tasks.errors import ResponseInvalid
from tasks.registry.http.exchange import Request
from tasks.registry.http.expiring_cache import Expiring, ExpiringCache
from tasks.registry.http.refusal import explain
from tasks.registry.http.visited_socket import Patience
from tasks.registry.transport import Transport

Answer = TypeVar("Answer")

# One try of so many seconds: the push does not depend on the answer.
SECONDS: Final = 10.0
# Every status is an answer here: none is tried again, and a 429 of the API does not slow the registry down.
_ALL: Final = frozenset(range(200, 600))


class Wish(msgspec.Struct, frozen=True):
    """A manifest that is to be stored, by its digest; `size` counts the bytes of all layers below it."""

    digest: str
    size: Callable[[], int]


class Asking:
    """The answers of one registry, kept for one push. Thread-safe."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._answers: ExpiringCache[Hashable, Any] = ExpiringCache()

    def once(self, question: Hashable, fetch: Callable[[], Answer]) -> Answer:
        """Return the answer to a question, which only the first caller fetches; raises what `fetch` raises."""
        answer: tuple[Answer] = self._answers.value(question, lambda: Expiring((fetch(),), float("inf")))
        return answer[0]

    def document(
        self,
        path: str,
        kind: type[Answer],
        *,
        repository: str,
        authorization: str | None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer | None:
        """Return the JSON document at a path, None if the registry has none; raises RegistryError, Transient."""
        request = Request(
            method="GET",
            target=path,
            repository=repository,
            scopes=frozenset(),
            headers={"Accept": "application/json", **(headers or {})},
            expect=_ALL,
            limit=self.transport.limits.manifest_bytes,
            patience=Patience(SECONDS, SECONDS),
            authorization=authorization,
        )
        return self.once(path, lambda: self._document(request, kind))

    def _document(self, request: Request, kind: type[Answer]) -> Answer | None:
        response = self.transport.send(request, retry=False)
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        if response.status != HTTPStatus.OK:
            raise ResponseInvalid(f"{explain(request.method, response)}.")
        try:
            return msgspec.json.decode(response.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ResponseInvalid(f"{explain(request.method, response)} with a document of another form.") from None
