"""The number of bytes of a copy that have arrived."""

import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec

from tasks import contract
from tasks.errors import CopyIncomplete, PushCancelled

_REPORT_EVERY: Final = 0.2
# A copy of fewer bytes that ends sooner has only a last report.
_REPORTED_AT_ONCE: Final = 1 << 20

Report = Callable[[contract.CopyProgress], None]


class Meter:
    """The byte count of one copy, reported now and then; it also ends the copy when the worker shuts down."""

    def __init__(self, digest: str, report: Report, cancelled: threading.Event, deadline_seconds: float) -> None:
        self._digest = digest
        self._report = report
        self._cancelled = cancelled
        self._deadline = time.monotonic() + deadline_seconds
        self._deadline_seconds = deadline_seconds
        self._lock = threading.Lock()
        self._total = 0
        self._done = 0
        self._begun = time.monotonic()
        self._reported: float | None = None

    def start_over(self) -> None:
        """Count from 0 again; no transfer may be under way."""
        self._total = self._done = 0

    def check(self) -> None:
        """Raise PushCancelled if the worker shuts down, CopyIncomplete if the copy exceeds its time limit."""
        if self._cancelled.is_set():
            raise PushCancelled("The worker is shutting down.")
        if time.monotonic() > self._deadline:
            raise CopyIncomplete(f"The copy of {self._digest} took longer than {self._deadline_seconds:g} seconds.")

    def expect(self, size: int) -> None:
        """Add `size` bytes to the expected total."""
        with self._lock:
            self._total += size

    def track(self) -> Callable[[int], None]:
        """Return a callback for one transfer, to be called with the number of its bytes that are done so far."""
        mine = 0

        def progress(done: int) -> None:
            nonlocal mine
            self.check()
            with self._lock:
                self._done += done - mine
                mine = done
                due = self._is_due()
                if due:
                    self._reported = time.monotonic()
            if due:
                self._report(self._progress())

        return progress

    def _is_due(self) -> bool:
        if self._reported is None and self._total >= _REPORTED_AT_ONCE:
            return True
        return time.monotonic() - (self._reported or self._begun) > _REPORT_EVERY

    def ended(self, *, failed: bool) -> contract.CopyProgress:
        """Return the final progress of the copy."""
        return msgspec.structs.replace(self._progress(), ended=True, failed=failed)

    def _progress(self) -> contract.CopyProgress:
        return contract.CopyProgress(digest=self._digest, done=self._done, total=self._total)
