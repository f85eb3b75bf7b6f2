"""Requests to token servers (Distribution's token authentication specification)."""

import time
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qs

from tasks.errors import ResponseInvalid
from tasks.registry.auth.realm_answer import words
from tasks.registry.http.connections import Connections
from tasks.registry.http.exchange import Response
from tasks.registry.http.redirects import MOST_REDIRECTS, is_same_origin, next_hop
from tasks.registry.http.refusal import refusal
from tasks.registry.http.retry import RETRIED_STATUSES, Transient, parse_retry_after
from tasks.registry.settings import HttpLimits


class Realms:
    """The token servers of one registry."""

    def __init__(self, connections: Connections, limits: HttpLimits) -> None:
        self._connections = connections
        self._limits = limits

    def send(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request once: the caller retries the request that needs the token. Raises Transient, RegistryError.

        A redirect is followed only on the same server: the request carries credentials.
        """
        for _ in range(MOST_REDIRECTS + 1):
            response = self._ask(method, url, headers, body)
            location = next_hop(method, response)
            if location is None:
                return response.status, response.headers, response.content
            if not is_same_origin(url, location):
                raise ResponseInvalid(
                    f"{response.url.partition('?')[0]} redirects the request for a token to another server."
                )
            url = location
        raise ResponseInvalid(f"{url.partition('?')[0]} redirects more than {MOST_REDIRECTS} times.")

    def _ask(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> Response:
        incoming = self._connections.exchange(method, url, headers, body)
        content = incoming.read(self._limits.error_bytes, self._limits.answer_timeout)
        if incoming.status in RETRIED_STATUSES:
            asked = parse_retry_after(incoming.headers.get("Retry-After"), time.time())
            error = refusal(method, Response(incoming.status, incoming.headers, url, own=False, content=content))
            why = words(content, incoming.headers.get("Content-Type"), _secrets(headers, body))
            said = f"{incoming.what} answered {incoming.status}{why}"
            raise Transient(said, incoming.status, asked or error.retry_after, type(error))
        if len(content) > self._limits.error_bytes:
            raise ResponseInvalid(f"{incoming.what} answered with more than {self._limits.error_bytes} bytes.")
        return Response(incoming.status, incoming.headers, url, own=False, content=content)


def _secrets(headers: Mapping[str, str], body: bytes | None) -> Iterator[str]:
    """Yield the credentials of a request in the form of an Authorization header."""
    if authorization := headers.get("Authorization"):
        yield authorization
    yield from (f"Bearer {token}" for token in parse_qs((body or b"").decode()).get("refresh_token", ()))
