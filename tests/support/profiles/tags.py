"""Listing tags, in pages (distribution-spec 1.1, "Listing tags")."""

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tests.support.profiles.answers import Refused, document, error
from tests.support.profiles.request import Request
from tests.support.scripted import Answer

if TYPE_CHECKING:
    from tests.support.profiles.server import ProfileRegistry


class Tags:
    """Answer for `/tags/list`."""

    def __init__(self, registry: "ProfileRegistry") -> None:
        self._registry = registry
        self._rules = registry.profile.tags

    def read(self, request: Request) -> Answer:
        with self._registry.guard:
            names = sorted(self._registry.access.repository(request).tags)
        last, limit = request.first("last"), self._limit(request)
        rest = [name for name in names if last is None or name > last]
        shown = rest if limit is None else rest[:limit]
        headers = {}
        if len(shown) < len(rest) and shown:
            following = urlencode({"n": str(limit), "last": shown[-1]})
            headers["Link"] = f'</v2/{request.name}/tags/list?{following}>; rel="next"'
        return document(200, {"name": request.name, "tags": shown}, headers)

    def _limit(self, request: Request) -> int | None:
        asked = None if self._rules.ignores_n else request.first("n")
        if asked is not None and not asked.isdecimal():
            raise Refused(error(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested", {"n": asked}))
        limits = [each for each in (int(asked) if asked else None, self._rules.page_limit) if each is not None]
        return min(limits, default=None)
