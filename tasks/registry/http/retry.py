"""The decision whether to retry an exchange with a registry (BEHAVIOUR 8.3); tenacity does the sleeping."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from tasks.errors import (
    AuthenticationRefused,
    ImagePusherError,
    RateLimited,
    RegistryError,
    RegistryReadOnly,
    RegistryUnavailable,
    Retry,
    Side,
)

if TYPE_CHECKING:
    from tenacity import RetryCallState

Result = TypeVar("Result")

# From 520 on Cloudflare says that the registry behind it gave no proper answer, or none in time.
RETRIED_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})

_FIRST_WAIT: Final = 0.5
_SECONDS: Final = re.compile(r"\s*([0-9]{1,40})\s*", re.ASCII)
_YEAR: Final = 365 * 86_400.0


class Transient(Exception):
    """The failure of one try that the next one may not repeat; it never leaves this package.

    `retry_after` is the pause in seconds that the registry asked for, `kind` the error after the last try.
    """

    def __init__(
        self,
        what: str,
        status: int | None = None,
        retry_after: float | None = None,
        kind: type[RegistryError] = RegistryUnavailable,
    ) -> None:
        super().__init__(what, status, retry_after, kind)
        self.what = what
        self.status = status
        self.retry_after = retry_after
        self.kind = kind


def _chance() -> float:
    # Most requests succeed at the first try.
    import random  # noqa: PLC0415

    return random.random()  # noqa: S311 - jitter


class RetryPolicy(msgspec.Struct, frozen=True):
    """The number of tries and the longest pauses between them, in seconds; `on_retry` is called for each retry.

    `side` is that of the registry; every error of a run names it. If a registry asks for more seconds than
    `retry_after_limit`, no caller waits (BEHAVIOUR 8.3).
    """

    tries: int
    longest_wait: float
    chance: Callable[[], float] = _chance
    sleep: Callable[[float], None] = time.sleep
    on_retry: Callable[[], None] = lambda: None
    side: Side | None = None
    retry_after_limit: float = 3600.0

    def gives_up(self, failed: int, asked: float | None) -> bool:
        """Tell whether to stop: after `failed` tries in a row, or because the registry asks for too long a pause."""
        return failed >= self.tries or (asked is not None and asked > self.longest_wait)

    def pause(self, failed: int, asked: float | None) -> float:
        """Return the seconds before the next try: exponential back-off with full jitter, or the longer `asked`."""
        ceiling = min(self.longest_wait, _FIRST_WAIT * 2.0 ** (failed - 1))
        return max(asked or 0.0, ceiling * self.chance())

    def attempts(self, progress: Callable[[], int] = lambda: 0) -> Iterator["Try"]:
        """Yield tries, each to be entered by `with`, until one ends without a Transient.

        The count of tries restarts whenever `progress` has risen. Raises RegistryUnavailable, RateLimited or
        AuthenticationRefused after the last try; their `retry_after` holds a pause longer than allowed.
        """
        run = _Run(self, progress)
        first = Try(self)
        yield first
        if first.failure is not None:
            yield from run.go_on(first.failure)

    def once(self) -> Iterator["Try"]:
        """Yield a single try, whose Transient goes to a caller that resumes instead of repeating."""
        yield Try(self, keeps=False)

    def run(self, attempt: Callable[[], Result], progress: Callable[[], int] = lambda: 0) -> Result:
        """Return the result of `attempt`, which is called again after each Transient, as `attempts` allows."""
        for each in self.attempts(progress):
            with each:
                return attempt()
        raise TypeError("the last try has a result or an error")

    def blame(self, error: ImagePusherError) -> None:
        """Set the side of an error without one to that of this registry."""
        if self.side is not None:
            error.on(self.side)


class Try:
    """One try: its Transient ends the block, and decides with the policy on the next try; other errors get a side.

    Without `keeps`, the Transient leaves the block.
    """

    __slots__ = ("_keeps", "_policy", "failure")

    def __init__(self, policy: RetryPolicy, *, keeps: bool = True) -> None:
        self.failure: Transient | None = None
        self._policy = policy
        self._keeps = keeps

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Transient):
            self.failure = error
            return self._keeps
        if isinstance(error, ImagePusherError):
            self._policy.blame(error)
        return False


class _Run:
    def __init__(self, policy: RetryPolicy, progress: Callable[[], int]) -> None:
        self._policy = policy
        self._progress = progress
        self._best = progress()
        self._forgiven = 0

    def go_on(self, failure: Transient) -> Iterator[Try]:
        """Yield further tries after the failure of the first one."""
        # Most requests need one try, and importing this takes as long as many of them.
        from tenacity import Retrying, retry_if_exception_type  # noqa: PLC0415

        retrying = Retrying(
            retry=retry_if_exception_type(Transient),
            stop=self.stop,
            wait=self.wait,
            sleep=self._policy.sleep,
            before_sleep=lambda _: self._policy.on_retry(),
            retry_error_callback=self.end,
        )
        failed: Transient | None = failure
        for attempt in retrying:
            if failed is None:
                again = Try(self._policy)
                yield again
                failed = again.failure
                if failed is None:
                    return
            attempt.retry_state.set_exception((Transient, failed, failed.__traceback__))
            failed = None

    def stop(self, state: "RetryCallState") -> bool:
        return self._policy.gives_up(self._failed(state), _failure(state).retry_after)

    def wait(self, state: "RetryCallState") -> float:
        return self._policy.pause(self._failed(state), _failure(state).retry_after)

    def end(self, state: "RetryCallState") -> None:
        failure = _failure(state)
        asked = failure.retry_after
        later = asked if asked is not None and asked > self._policy.longest_wait else None
        error = _final(failure, state.attempt_number, later, self._policy.retry_after_limit)
        self._policy.blame(error)
        raise error from None

    def _failed(self, state: "RetryCallState") -> int:
        reached = self._progress()
        if reached > self._best:
            self._best = reached
            self._forgiven = state.attempt_number - 1
        return state.attempt_number - self._forgiven


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for, None if it says nothing (RFC 9110, 10.2.3).

    `now` is seconds since the epoch. A date in the past means no wait.
    """
    if not value:
        return None
    if match := _SECONDS.fullmatch(value):
        return float(match[1])
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - most registries name seconds

    try:
        date = parsedate_to_datetime(value)
        return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _failure(state: "RetryCallState") -> Transient:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, Transient):
        raise TypeError("only a failed try has a next one")
    return error


def _final(failure: Transient, tries: int, later: float | None, limit: float) -> RegistryError:
    if issubclass(failure.kind, RegistryReadOnly):
        # `limits.maintenance_seconds` bounds the wait for a maintenance, not the limit of Retry-After (BEHAVIOUR 8.6).
        believed = later if later is not None and later <= limit else None
        return failure.kind(f"{failure.what} (tries: {tries}).", believed)
    if later is not None and later > limit:
        error = RateLimited(
            f"{failure.what} and asks for no requests for {_duration(later)}, longer than `http.retry_after_limit`"
            f" ({limit:g} seconds) allows (tries: {tries}).",
            limit,
        )
        error.retry = Retry.NEVER
        return error
    asked = f" and asks for {later:g} seconds" if later else ""
    message = f"{failure.what}{asked} (tries: {tries})."
    if failure.status == HTTPStatus.UNAUTHORIZED:
        last: RegistryError = AuthenticationRefused(message)
    else:
        last = (RateLimited if failure.status == HTTPStatus.TOO_MANY_REQUESTS else failure.kind)(message, later)
    last.status = failure.status
    return last


def _duration(seconds: float) -> str:
    return f"{seconds:g} seconds" if seconds < _YEAR else "more than a year"
