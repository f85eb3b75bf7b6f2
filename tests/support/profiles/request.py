"""One request as the registry's parts see it, and the grammar of its path."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

from tests.support.profiles.answers import Refused
from tests.support.scripted import Answer, NoAnswer

# distribution-spec 1.1, "Pulling manifests".
NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*", re.ASCII)
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", re.ASCII)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", re.ASCII)

_PATHS = (
    ("manifest", re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)")),
    ("uploads", re.compile(r"/v2/(?P<name>.+)/blobs/uploads/?")),
    ("session", re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<reference>[^/]+)")),
    ("blob", re.compile(r"/v2/(?P<name>.+)/blobs/(?P<reference>[^/]+)")),
    ("tags", re.compile(r"/v2/(?P<name>.+)/tags/list")),
    ("referrers", re.compile(r"/v2/(?P<name>.+)/referrers/(?P<reference>[^/]+)")),
    ("base", re.compile(r"/v2/")),
)


class Route(NamedTuple):
    """The endpoint that a path names, the repository, and the tag, digest or session."""

    endpoint: str
    name: str = ""
    reference: str = ""


def route_of(path: str) -> Route:
    """Return the endpoint of a path, `unknown` for none."""
    for endpoint, pattern in _PATHS:
        match = pattern.fullmatch(path)
        if match is not None:
            groups = match.groupdict()
            return Route(endpoint, unquote(groups.get("name", "")), unquote(groups.get("reference", "")))
    return Route("unknown")


@dataclass
class Request:
    """A request whose body is read when it is asked for; `read_body` returns None where it is over a limit."""

    method: str
    target: str
    headers: Mapping[str, str]
    pieces: Iterator[bytes]
    user: str | None = None
    access: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.path, _, self.query_text = self.target.partition("?")
        self.query = parse_qs(self.query_text, keep_blank_values=True)
        self.route = route_of(self.path)

    @property
    def name(self) -> str:
        return self.route.name

    @property
    def reference(self) -> str:
        return self.route.reference

    @property
    def length(self) -> int | None:
        """Return what Content-Length declares."""
        declared = self.headers.get("Content-Length")
        return int(declared) if declared is not None else None

    def first(self, parameter: str) -> str | None:
        """Return the first value of a query parameter."""
        return self.query.get(parameter, [None])[0]

    def read(self, limit: int | None, refusal: Answer | NoAnswer) -> bytes:
        """Return the body; raises Refused with `refusal` as soon as it is known to be above the limit in bytes."""
        if limit is not None and (self.length or 0) > limit:
            raise Refused(refusal)
        content = bytearray()
        for piece in self.pieces:
            content += piece
            if limit is not None and len(content) > limit:
                raise Refused(refusal)
        return bytes(content)
