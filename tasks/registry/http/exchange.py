"""What goes to a registry and what comes back (distribution-spec 1.1)."""

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import urljoin, urlsplit

import msgspec

from tasks.errors import (
    AuthenticationRefused,
    NotFound,
    RateLimited,
    RegistryError,
    RegistryUnavailable,
    RequestRefused,
    ResponseInvalid,
)
from tasks.oci.digest import Digest, parse_digest
from tasks.registry.http.answer import Incoming, Piece
from tasks.registry.http.redact import conceal

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_LONGEST_MESSAGE: Final = 300
_SHOWN_ERRORS: Final = 3
# Not implemented, version not supported (RFC 9110, 15.6): the next answer would be the same.
_NEVER: Final = frozenset({501, 505})


class Body(Protocol):
    """Content to send: each iteration starts anew, and yields exactly `len` bytes, each piece good until the next."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Piece]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request: `target` is a path of the registry or a URL, which is sent to the letter.

    `scopes` are what its token must be good for. Statuses in `expect` are the caller's, all others are errors. The
    content of the response is read up to `limit` bytes, unless it is streamed.
    """

    method: str
    target: str
    repository: str
    scopes: frozenset[str]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Body | None = None
    expect: AbstractSet[int] = frozenset({200})
    stream: bool = False
    limit: int | None = None

    @property
    def streams_body(self) -> bool:
        """Whether the body can only be sent again from a place that the caller chooses."""
        return self.body is not None and not isinstance(self.body, bytes)


@dataclass(frozen=True, slots=True)
class Response:
    """One response; `content` is empty where it is still `incoming`. `own` tells the registry from other hosts.

    `authorization` is what the request showed; `content` may quote it.
    """

    status: int
    headers: Mapping[str, str]
    url: str
    own: bool
    content: bytes = field(default=b"", repr=False)
    incoming: Incoming | None = field(default=None, repr=False)
    authorization: str | None = field(default=None, repr=False)

    @property
    def location(self) -> str | None:
        """The URL that Location names."""
        said = self.headers.get("Location")
        return self.resolve(said) if said else None

    def resolve(self, reference: str) -> str:
        """Return a URL that this response names: to the letter where it is absolute or a path (RFC 3986, 5.2)."""
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
        return frozenset(error.code for error in _parse_errors(self.content))


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Errors(msgspec.Struct):
    errors: list[_Error] = []


_decoder: Final = msgspec.json.Decoder(_Errors)


def find_digest(text: str | None) -> Digest | None:
    """Return the digest that a header or a reference is, None where it is something else."""
    try:
        return parse_digest(text or "")
    except ValueError:
        return None


def describe(method: str, url: str) -> str:
    """Return a request as messages show it: without the query, which may hold a signature or a token."""
    parts = urlsplit(url)
    return f"{method} {parts.netloc.rpartition('@')[2]}{parts.path}"


def explain(method: str, response: Response) -> str:
    """Return what was asked and answered, with the registry's own words concealed, cleaned and shortened."""
    said = "; ".join(f"{error.code}: {error.message}" for error in _parse_errors(response.content)[:_SHOWN_ERRORS])
    said = _CONTROL.sub(" ", conceal(said, response.authorization))
    shown = f" ({said[:_LONGEST_MESSAGE].strip()})" if said else ""
    return f"{describe(method, response.url)} answered {response.status}{shown}"


def refusal(method: str, response: Response) -> RegistryError:
    """Return the error that a final response means."""
    message = f"{explain(method, response)}."
    if response.status in {401, 403} and response.own:
        return AuthenticationRefused(message)
    if response.status == 404:  # noqa: PLR2004
        return NotFound(message)
    if response.status == 429:  # noqa: PLR2004
        return RateLimited(message)
    if response.status >= 500 and response.status not in _NEVER:  # noqa: PLR2004
        return RegistryUnavailable(message)
    if response.status >= 400:  # noqa: PLR2004
        return RequestRefused(message)
    return ResponseInvalid(message)


def _parse_errors(content: bytes) -> list[_Error]:
    try:
        return _decoder.decode(content).errors
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
