"""The referrers of a manifest, page by page (distribution-spec 1.1, "Listing Referrers")."""

import time
from collections.abc import Callable
from typing import Final, Protocol
from urllib.parse import urlencode

from tasks.errors import ResponseInvalid
from tasks.oci import media_types
from tasks.oci.digest import Digest
from tasks.oci.referrers import Referrer, parse_list
from tasks.registry.http.exchange import Response
from tasks.registry.listing import next_page

MOST_REFERRERS: Final = 10_000
MOST_PAGES: Final = 1_000
# The specification says 404; products without the path, or a proxy before them, give these answers too.
_NO_API: Final = frozenset({400, 404, 405, 406, 501})
# Words of a registry that has the API, about a subject or a repository that it does not know (Quay).
_OF_SUBJECT: Final = frozenset({"MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN"})
_ACCEPT: Final = {"Accept": media_types.OCI_INDEX}


# A registry may get the API while a worker runs.
_BELIEVED_SECONDS: Final = 600.0
_MANY: Final = 1024


class ReferrersKnown:
    """Whether the repositories of one registry list referrers, for a time. Threads share it.

    Behind one host may be several products: each repository speaks for itself. `clock` is a monotonic clock in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[bool, float]] = {}

    def of(self, name: str) -> bool | None:
        """Return whether a repository lists referrers, None if it has not been asked lately."""
        lists, since = self._known.get(name, (None, float("-inf")))
        return lists if self._clock() - since < _BELIEVED_SECONDS else None

    def note(self, name: str, lists: bool) -> None:  # noqa: FBT001 - told by a callback
        """Keep what a repository answered; one that listed referrers lately has an API, whatever it answers now."""
        if not lists and self.of(name):
            return
        if len(self._known) >= _MANY:
            self._known = {}
        self._known[name] = (lists, self._clock())


class Read(Protocol):
    """Make one GET; `path` may be a URL."""

    def __call__(
        self, method: str, path: str, *, expect: frozenset[int], limit: int, headers: dict[str, str]
    ) -> Response: ...


def list_referrers(
    read: Read,
    name: str,
    digest: Digest,
    limit: int,
    artifact_type: str | None = None,
    note: Callable[[bool], None] = lambda _: None,
) -> list[Referrer] | None:
    """Return the referrers of a digest, None if the registry does not list them; a page has at most `limit` bytes.

    `artifact_type` asks the registry for those of one type. An answer without `OCI-Filters-Applied` is unfiltered and
    counts as complete. `note` is told whether there is such an API, if the answer says so. Raises ResponseInvalid for
    pages without end.
    """
    found: dict[Digest, Referrer] = {}
    query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
    path, expect = f"referrers/{digest}{query}", frozenset({200, *_NO_API})
    for number in range(MOST_PAGES):
        response = read("GET", path, expect=expect, limit=limit, headers=_ACCEPT)
        if response.status in _NO_API:
            if not response.codes & _OF_SUBJECT:
                note(False)
            return None
        # Other content than an index comes from a server without the path: a login page or a product's interface.
        if number == 0:
            is_index = media_types.essence(response.headers.get("Content-Type")) == media_types.OCI_INDEX
            is_list = is_index and bool(response.content.strip())
            note(is_list)
            if not is_list:
                return None
        before = len(found)
        found |= {each.digest: each for each in _parse(response.content, name, digest)}
        following = next_page(response)
        if following is None:
            return [each for each in found.values() if artifact_type in {None, each.artifact_type}]
        if (len(found) == before and not artifact_type) or len(found) > MOST_REFERRERS:
            break
        path, expect = following, frozenset({200})
    raise ResponseInvalid(f"The list of referrers of {name}@{digest} does not end.")


def _parse(content: bytes, name: str, digest: Digest) -> list[Referrer]:
    try:
        return parse_list(content)
    except (ValueError, RecursionError):
        raise ResponseInvalid(f"The list of referrers of {name}@{digest} is not one.") from None
