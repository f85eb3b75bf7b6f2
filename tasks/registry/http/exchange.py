"""Requests to a registry and its responses (distribution-spec 1.1)."""

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import ClassVar, Final, Protocol
from urllib.parse import urljoin, urlsplit

import msgspec

from tasks.discreet import Discreet
from tasks.errors import ResponseInvalid
from tasks.oci.digest import Digest, parse_digest
from tasks.registry.http.answer import Incoming, Piece
from tasks.registry.http.refusal_reasons import parse_reasons
from tasks.registry.http.visited_socket import Patience

_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class Body(Protocol):
    """Content to send: each iteration starts anew and yields exactly `len` bytes; a piece is valid until the next."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Piece]: ...


class Request(Discreet, frozen=True, kw_only=True):
    """One request: `target` is a path of the registry or a URL, which is sent to the letter.

    `scopes` are those that its token must cover; an `authorization` replaces the token. The caller handles the
    statuses in `expect`, all others are errors. The content of the response is read up to `limit` bytes, unless it is
    streamed; its head arrives within `patience` (that of `idle_timeout` if None).
    """

    _hidden: ClassVar = frozenset({"authorization"})

    method: str
    target: str
    repository: str
    scopes: frozenset[str]
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes | Body | None = None
    expect: AbstractSet[int] = frozenset({200})
    stream: bool = False
    limit: int | None = None
    patience: Patience | None = None
    authorization: str | None = None

    @property
    def streams_body(self) -> bool:
        """Whether only the caller can send the body again, from an offset of its choice."""
        return self.body is not None and not isinstance(self.body, bytes)


class Response(Discreet, frozen=True):
    """One response; `content` is empty while it is still `incoming`. `own` tells the registry from other hosts.

    `authorization` is the header of the request; `content` may quote it.
    """

    _hidden: ClassVar = frozenset({"content", "incoming", "authorization"})

    status: int
    headers: Mapping[str, str]
    url: str
    own: bool
    content: bytes = b""
    incoming: Incoming | None = None
    authorization: str | None = None

    @property
    def location(self) -> str | None:
        """The absolute URL in Location."""
        said = self.headers.get("Location")
        return self.resolve(said) if said else None

    def resolve(self, reference: str) -> str:
        """Resolve a URL of this response, to the letter if it is absolute or a path (RFC 3986, 5.2)."""
        if _ABSOLUTE.match(reference):
            return reference
        if reference.startswith("/") and not reference.startswith("//"):
            parts = urlsplit(self.url)
            return f"{parts.scheme}://{parts.netloc}{reference}"
        try:
            return urljoin(self.url, reference)
        except ValueError:
            raise ResponseInvalid(f"{urlsplit(self.url).netloc} leads to something that is not a URL.") from None

    @property
    def codes(self) -> frozenset[str]:
        """The error codes of the body (distribution-spec, "Error Codes")."""
        return frozenset(reason.code for reason in parse_reasons(self.content))


def find_digest(text: str | None) -> Digest | None:
    """Return the digest in a header or a reference, None for any other text."""
    try:
        return parse_digest(text or "")
    except ValueError:
        return None


def describe(method: str, url: str) -> str:
    """Return a request in the form for messages: without the query, which may hold a signature or a token."""
    # By hand: each request has a name, and `urlsplit` keeps the last ones, which are all different.
    place = url.partition("://")[2].partition("?")[0].partition("#")[0]
    host, slash, path = place.partition("/")
    return f"{method} {host.rpartition('@')[2]}{slash}{path}"
