"""The tags of a repository, page by page (distribution-spec 1.1, "Listing Tags"; RFC 8288 for Link)."""

import re
from typing import Final, Protocol

import msgspec

from tasks.errors import ResponseInvalid
from tasks.registry.exchange import Response

MOST_TAGS: Final = 1_000_000

_PAGE: Final = 1000
_NEXT: Final = re.compile(r'<([^<>]*)>[^<>]*;\s*rel="?next"?', re.IGNORECASE)


class Read(Protocol):
    """Make one GET; `path` may be a URL."""

    def __call__(self, method: str, path: str, *, expect: frozenset[int], limit: int) -> Response: ...


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


_decoder: Final = msgspec.json.Decoder(_Tags)


def list_tags(read: Read, name: str, limit: int) -> list[str]:
    """Return all tags, none if there is no such repository; a page has at most `limit` bytes.

    Raises ResponseInvalid for something else than pages of tags, for pages without end and for too many tags.
    """
    found: dict[str, None] = {}
    path: str | None = f"tags/list?n={_PAGE}"
    while path is not None:
        response = read("GET", path, expect=frozenset({200, 404}), limit=limit)
        if response.status == 404:  # noqa: PLR2004
            return list(found)
        before = len(found)
        try:
            found |= dict.fromkeys(_decoder.decode(response.content).tags or ())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ResponseInvalid(f"The list of tags of {name} is not one.") from None
        path = next_page(response)
        if path is not None and (len(found) == before or len(found) > MOST_TAGS):
            raise ResponseInvalid(f"The list of tags of {name} does not end.")
    return list(found)


def next_page(response: Response) -> str | None:
    """Return the URL of the next page, None on the last."""
    match = _NEXT.search(response.headers.get("Link", ""))
    return response.resolve(match[1]) if match else None
