"""The tags of a repository, page by page (distribution-spec 1.1, "Listing Tags"; RFC 8288 for Link)."""

import re
from http import HTTPStatus
from typing import Final, Protocol

import msgspec

from tasks.errors import AddressWrong, ResponseInvalid
from tasks.oci.reference import parse_tag
from tasks.patterns import late
from tasks.registry.http.exchange import Response, describe
from tasks.registry.http.refusal_reasons import is_web_page

MOST_TAGS: Final = 1_000_000
MOST_PAGES: Final = 20_000

_PAGE: Final = 1000
# A registry may filter each page, so that nothing is left of some.
_MOST_EMPTY_PAGES: Final = 100
# `parse_header_links` of requests ends a URL at its first semicolon.
_NEXT: Final = late(r'<([^<>]*)>[^<>]*;\s*rel=(?:"(?:[^"<>]*\s)?next[\s"]|next\b)', re.IGNORECASE)


class Read(Protocol):
    """Make one GET; `path` may be a URL."""

    def __call__(self, method: str, path: str, *, expect: frozenset[int], limit: int) -> Response: ...


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


_decoder: Final = msgspec.json.Decoder(_Tags)


def list_tags(read: Read, name: str, limit: int) -> list[str]:
    """Return all tags, none if the repository does not exist; a page has at most `limit` bytes.

    Raises ResponseInvalid for content other than pages of tags, for pages without end and for too many tags.
    """
    found: dict[str, None] = {}
    path, empty, seen = f"tags/list?n={_PAGE}", 0, set[str]()
    # A 404 means an empty list on the first page only: a caller that deletes by a list must have all of it.
    expect = frozenset({200, 404})
    for _ in range(MOST_PAGES):
        response = read("GET", path, expect=expect, limit=limit)
        if response.status == HTTPStatus.NOT_FOUND:
            return []
        before = len(found)
        if is_web_page(response.content, response.headers.get("Content-Type")):
            raise AddressWrong(f"{describe('GET', response.url)} answered with a web page instead of a list of tags.")
        found |= dict.fromkeys(_parse(response.content, name))
        following = next_page(response)
        if following is None:
            return list(found)
        empty = empty + 1 if len(found) == before else 0
        if following in seen or empty > _MOST_EMPTY_PAGES or len(found) > MOST_TAGS:
            break
        seen.add(following)
        path, expect = following, frozenset({200})
    raise ResponseInvalid(f"The list of tags of {name} does not end.")


def next_page(response: Response) -> str | None:
    """Return the URL of the next page, None on the last."""
    match = _NEXT().search(response.headers.get("Link", ""))
    return response.resolve(match[1]) if match else None


def _parse(content: bytes, name: str) -> list[str]:
    try:
        return [parse_tag(tag) for tag in _decoder.decode(content).tags or ()]
    except (ValueError, RecursionError):
        # msgspec's and Unicode's errors are ValueErrors too.
        raise ResponseInvalid(f"The list of tags of {name} is not one.") from None
