"""Sums of manifests, blobs and bytes moved, from many threads."""

import threading

import msgspec

from tasks.contract import Totals

_COUNTED = ("bytes_copied", "blobs_copied", "blobs_mounted", "blobs_skipped", "manifests_copied")


class Counter:
    """Totals that grow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(_COUNTED, 0)

    def add(self, **counts: int) -> None:
        """Add to the named totals."""
        with self._lock:
            for name, count in counts.items():
                self._counts[name] += count

    def include(self, part: Totals) -> None:
        """Add the totals of a part; its seconds do not count."""
        self.add(**{name: getattr(part, name) for name in _COUNTED})

    def totals(self) -> Totals:
        """Return the totals so far."""
        with self._lock:
            return msgspec.convert(dict(self._counts), Totals)


def total(parts: list[Totals], seconds: float) -> Totals:
    """Return the sum of `parts`, with the wall time of the whole."""
    sums = {name: sum(getattr(part, name) for part in parts) for name in _COUNTED}
    return Totals(**sums, seconds=round(seconds, 3))
