"""The requests to one repository: their paths, and the scopes of their tokens."""

from collections.abc import Iterable
from typing import Any, Final

from msgspec.structs import replace

from tasks.errors import AuthenticationRefused
from tasks.oci import media_types
from tasks.registry.http.exchange import Request, Response
from tasks.registry.transport import Transport

ACCEPT: Final = {"Accept": ", ".join(media_types.ACCEPT)}
DONE: Final = frozenset({200, 201, 202, 204})
# Answers of registries, or of servers before them, to a HEAD that they do not support.
UNANSWERED: Final = frozenset({400, 405, 415, 501})


class Access:
    """The access to one repository in one role."""

    def __init__(self, transport: Transport, registry: str, name: str, *, push: bool = False) -> None:
        self.registry = registry
        self.name = name
        self._transport = transport
        self._push = push
        self._reading = scopes(name, "pull")
        self._writing = scopes(name, "pull,push")

    def __str__(self) -> str:
        return f"{self.registry}/{self.name}"

    def _read(self, method: str, path: str, *, retry: bool = True, **more: Any) -> Response:
        """Read with a token for `pull`; after a refusal, if pushing is allowed, with one for `pull,push`.

        Some registries answer 401 for an absent repository unless the user may create it: after such an answer, reads
        at this registry try `pull,push` first.
        """
        first, second = self._reading, self._writing
        if self._push and self._transport.read_by_push:
            first, second = second, first
        request = self._request(method, path, first, **more)
        try:
            return self._transport.send(request, retry=retry)
        except AuthenticationRefused:
            if not self._push:
                raise
        response = self._transport.send(replace(request, scopes=second), retry=retry)
        self._transport.read_by_push = second is self._writing
        return response

    def _write(self, method: str, path: str, *, retry: bool = True, **more: Any) -> Response:
        return self._transport.send(self._request(method, path, self._writing, **more), retry=retry)

    def _request(
        self, method: str, path: str, scopes: frozenset[str], *, expect: Iterable[int] = (200,), **more: Any
    ) -> Request:
        target = path if "://" in path else f"/v2/{self.name}/{path}"
        return Request(
            method=method, target=target, repository=self.name, scopes=scopes, expect=frozenset(expect), **more
        )


def scopes(name: str, actions: str) -> frozenset[str]:
    """Return the scope of a token for a repository."""
    return frozenset({f"repository:{name}:{actions}"})
