"""The reports of pushes, and the warnings of registries."""

from collections.abc import Iterable
from typing import Protocol

from tasks import contract


class Reports(Protocol):
    """The reports of pushes that ended."""

    def finish(self, report: contract.PushReport) -> contract.PushReport:
        """Keep the report of a push, which ends the push, and return the report there: the first one stays.

        A delivery that stood still may end after another one (BEHAVIOUR 7.3).
        """
        ...

    def report(self, push_id: str) -> contract.PushReport | None:
        """Return the report of a push, None if the push has not ended."""
        ...


class Warned(Protocol):
    """The warnings in the answers of registries to a push."""

    def warn(self, push_id: str, warnings: Iterable[str]) -> None:
        """Note warnings, each once."""
        ...

    def warnings(self, push_id: str) -> list[str]:
        """Return the warnings in alphabetical order."""
        ...
