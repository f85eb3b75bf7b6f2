"""429 after too many requests, in the forms that registries use."""

from collections import deque
from collections.abc import Callable

from tests.support.profiles.answers import Refused, error, page
from tests.support.profiles.profile import RateLimit
from tests.support.profiles.request import Request
from tests.support.scripted import Answer

_PULL_LIMIT = (
    "You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: "
    "https://www.docker.com/increase-rate-limit"
)


class Limiter:
    """Count requests in a moving span of time."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._times: deque[float] = deque()

    def count(self, limit: RateLimit | None, request: Request) -> None:
        """Raise Refused where a request is one too many."""
        if limit is None or not _counts(limit, request):
            return
        now = self._now()
        while self._times and self._times[0] <= now - limit.seconds:
            self._times.popleft()
        if len(self._times) >= limit.requests:
            raise Refused(_answer(limit))
        self._times.append(now)


def _counts(limit: RateLimit, request: Request) -> bool:
    return limit.counts == "all" or (request.method == "GET" and request.route.endpoint == "manifest")


def _answer(limit: RateLimit) -> Answer:
    answers = {
        "pull_limit": error(429, "TOOMANYREQUESTS", _PULL_LIMIT),
        "page": page(429, "429 Too Many Requests"),
        "empty": Answer(429),
    }
    chosen = answers[limit.words]
    headers = dict(chosen.headers)
    if limit.retry_after is not None:
        headers["Retry-After"] = limit.retry_after
    return Answer(chosen.status, headers, chosen.body)
