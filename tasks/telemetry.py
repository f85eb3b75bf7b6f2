"""Telemetry: counts, durations and spans, for a listener; by default there is none.

Names and labels are defined only here. Labels are bounded: registries, methods, states, never references or digests.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Final, Protocol

PUSHES: Final = "pushes"  # state
REQUESTS_REFUSED: Final = "requests_refused"  # reason: invalid (breaks a rule), malformed (no message of a task)
REQUESTS: Final = "requests"  # producer ("" where nobody signs)
PUSH_SECONDS: Final = "push_seconds"  # state
TAGS: Final = "tags"  # action
BLOBS: Final = "blobs"  # outcome: copied, mounted, skipped
BYTES: Final = "bytes"  # outcome: copied, mounted, skipped
MANIFESTS: Final = "manifests"  # none
HTTP_REQUESTS: Final = "http_requests"  # registry, method, status ("error" where none came)
HTTP_RETRIES: Final = "http_retries"  # registry
RATE_LIMITED: Final = "rate_limited"  # registry
WAIT_SECONDS: Final = "wait_seconds"  # on: budget, tag_lock, flight
WATCHDOG: Final = "watchdog_interventions"  # action: a verdict of tasks/transfer/watchdog_verdict.py

INVALID: Final = "invalid"
MALFORMED: Final = "malformed"

BUDGET: Final = "budget"
TAG_LOCK: Final = "tag_lock"
FLIGHT: Final = "flight"

COUNTERS: Final[Mapping[str, tuple[str, ...]]] = {
    PUSHES: ("state",),
    REQUESTS_REFUSED: ("reason",),
    REQUESTS: ("producer",),
    TAGS: ("action",),
    BLOBS: ("outcome",),
    BYTES: ("outcome",),
    MANIFESTS: (),
    HTTP_REQUESTS: ("registry", "method", "status"),
    HTTP_RETRIES: ("registry",),
    RATE_LIMITED: ("registry",),
    WAIT_SECONDS: ("on",),
    WATCHDOG: ("action",),
}
DURATIONS: Final[Mapping[str, tuple[str, ...]]] = {PUSH_SECONDS: ("state",)}


class Span(Protocol):
    """A piece of work under way."""

    def set(self, name: str, value: str | float) -> None:
        """Set an attribute of the span."""
        ...


class Listener(Protocol):
    """The receiver of telemetry; its methods are called from any thread and never raise."""

    def count(self, name: str, amount: float, labels: Mapping[str, str]) -> None:
        """Add `amount` to one of `COUNTERS`."""
        ...

    def observe(self, name: str, seconds: float, labels: Mapping[str, str]) -> None:
        """Note one of `DURATIONS`."""
        ...

    def span(self, name: str, attributes: Mapping[str, Any]) -> AbstractContextManager[Span] | None:
        """Return a context manager that yields a Span and fails it where the block raises; None not to trace."""
        ...


class _NoSpan:
    def set(self, name: str, value: str | float) -> None: ...


_NO_SPAN: Final = _NoSpan()
_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    """Send telemetry to `listener` from now on."""
    _listeners.append(listener)


def stop_listening(listener: Listener) -> None:
    """Stop sending telemetry to `listener`."""
    _listeners.remove(listener)


def count(name: str, amount: float = 1, **labels: str) -> None:
    """Add to a counter."""
    for listener in _listeners:
        listener.count(name, amount, labels)


def observe(name: str, seconds: float, **labels: str) -> None:
    """Note a duration."""
    for listener in _listeners:
        listener.observe(name, seconds, labels)


@contextmanager
def span(name: str, **attributes: Any) -> Iterator[Span]:
    """Trace the block as one span, if a listener traces."""
    for listener in _listeners:
        tracing = listener.span(name, attributes)
        if tracing is not None:
            with tracing as entered:
                yield entered
            return
    yield _NO_SPAN


_context: Final[ContextVar[Mapping[str, str]]] = ContextVar("telemetry", default=MappingProxyType({}))


@contextmanager
def context(**fields: str) -> Iterator[None]:
    """Add `fields` to all lines that the block logs; another thread needs a copy of the context for that."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def bound() -> Mapping[str, str]:
    """Return the fields that are added to lines logged here."""
    return _context.get()
