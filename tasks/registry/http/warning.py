"""Warnings of registries for users: `Warning: 299 - "…"` (distribution-spec 1.1, "Warnings"), once each."""

import contextvars
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tasks.patterns import late
from tasks.registry.http.redact import conceal
from tasks.registry.http.refusal import clean

_logger: Final = logging.getLogger(__name__)
_WARNING: Final = late(r'\b299 +\S+ +"((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = late(r"\\(.)")
_MOST: Final = 20
_MOST_LOGGED: Final = 1000


class Warnings:
    """The warnings of registries during one piece of work. Thread-safe."""

    def __init__(self) -> None:
        self._said: dict[str, None] = {}

    def add(self, warning: str) -> None:
        """Add a warning once; the number of warnings is bounded."""
        if len(self._said) < _MOST:
            self._said[warning] = None

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._said))


_listening: Final = contextvars.ContextVar[Warnings | None]("warnings of registries", default=None)
_logged: Final[set[str]] = set()
_guard: Final = threading.Lock()


@contextmanager
def listening() -> Iterator[Warnings]:
    """Collect the warnings of registries in this block, and in the threads that share its context."""
    warnings = Warnings()
    token = _listening.set(warnings)
    try:
        yield warnings
    finally:
        _listening.reset(token)


def take_warning(registry: str, header: str | None, authorization: str | None = None, url: str = "") -> None:
    """Record the Warning header of an answer for the listener, and once per process in the log.

    `authorization` and `url` are those of the request, whose secrets a warning may quote.
    """
    if header is None:
        return
    for said in _WARNING().findall(header):
        text = _ESCAPED().sub(r"\1", said)
        warning = f"{registry}: {clean(conceal(text, authorization, url))}"
        listener = _listening.get()
        if listener is not None:
            listener.add(warning)
        with _guard:
            news = warning not in _logged and len(_logged) < _MOST_LOGGED
            _logged.add(warning)
        if news:
            _logger.warning("A registry warns: %s", warning)
