"""Counts of what tests did to registries, workers and brokers, and what came of it, for the end of a run.

Processes of a parallel run count for themselves and hand their counts over; threads share them.
"""

import threading
from collections import Counter
from collections.abc import Mapping


class Figures:
    """Counters by the section of the summary that shows them."""

    def __init__(self) -> None:
        self._counted: dict[str, Counter[str]] = {}
        self._guard = threading.Lock()

    def add(self, section: str, counts: Mapping[str, int]) -> None:
        with self._guard:
            self._counted.setdefault(section, Counter()).update(counts)

    def export(self) -> dict[str, dict[str, int]]:
        """Return all counts as plain types."""
        with self._guard:
            return {section: dict(counted) for section, counted in self._counted.items()}

    def merge(self, exported: Mapping[str, Mapping[str, int]]) -> None:
        """Add what another process has exported."""
        for section, counts in exported.items():
            self.add(section, counts)

    def of(self, section: str) -> "Section":
        return Section(self, section)

    def lines(self) -> list[str]:
        """Return one line for each section."""
        return [
            f"{section}: {', '.join(f'{count} {name}' for name, count in sorted(counted.items()))}"
            for section, counted in sorted(self.export().items())
        ]


class Section:
    """The counters of one section; `workers_killed=1` counts as "workers killed"."""

    def __init__(self, figures: Figures, name: str) -> None:
        self._figures = figures
        self._name = name

    def add(self, **counts: int) -> None:
        self._figures.add(self._name, {name.replace("_", " "): count for name, count in counts.items()})
