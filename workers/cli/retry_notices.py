"""Messages on stderr about retries of a registry: without them, a command would only seem slow."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from tasks import telemetry
from workers.cli.output import note

_TOLD: Final = {
    telemetry.HTTP_RETRIES: "{} does not answer, or with errors; it is tried again for a while.",
    telemetry.RATE_LIMITED: "{} limits the requests (429); it is asked more slowly.",
}


class Trouble:
    """A listener that reports each kind of trouble once for each registry; only embedded pushes cause any here."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def count(self, name: str, amount: float, labels: Mapping[str, str]) -> None:
        """Receive a counter (tasks/telemetry.py)."""
        del amount
        told = (name, labels.get("registry", ""))
        if name in _TOLD and told not in self._told:
            self._told.add(told)
            note(_TOLD[name].format(told[1]))

    def observe(self, name: str, seconds: float, labels: Mapping[str, str]) -> None:
        """Receive a duration."""

    def span(self, name: str, attributes: Mapping[str, Any]) -> None:
        """Trace nothing."""


@contextmanager
def telling_of_trouble(*, quiet: bool) -> Iterator[None]:
    """Report the registries' trouble while the block runs, unless `quiet`."""
    if quiet:
        yield
        return
    trouble = Trouble()
    telemetry.listen(trouble)
    try:
        yield
    finally:
        telemetry.stop_listening(trouble)
