"""The progress of a push on stderr: bars on a terminal, otherwise a line from time to time."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from tasks import contract
from workers.amounts import size, told_progress
from workers.cli.names import name_of_copy
from workers.cli.output import is_terminal, note
from workers.cli.waiting import Waiting

_SECONDS_BETWEEN_LINES: Final = 10.0
_NAMED: Final = 3


class Follower(Protocol):
    """A receiver of the progress of a push."""

    def __call__(self, progress: contract.Progress) -> None:
        """Show one snapshot."""
        ...

    def end(self, report: contract.PushReport) -> None:
        """Show that the push has ended."""
        ...


def shows_bars() -> bool:
    """Tell whether stderr is a terminal that can overwrite its output."""
    return is_terminal(sys.stderr) and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}


@contextmanager
def follow_push(push_id: str, *, quiet: bool, bars: bool) -> Iterator[Follower]:
    """Yield a follower that shows the progress of a push: as bars, as lines, or not at all."""
    if quiet:
        yield Silence()
    elif bars:
        from workers.cli.progress_bars import Bars

        note(f"Push {push_id}")
        with Bars.on_stderr() as follower:
            yield follower
    else:
        yield Lines(push_id)


class Silence:
    """A follower that shows nothing."""

    def __call__(self, progress: contract.Progress) -> None: ...

    def end(self, report: contract.PushReport) -> None: ...


class Lines:
    """A follower that writes a line for the copies that ended since the last line, at most one every few seconds."""

    def __init__(self, push_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._push_id = push_id
        self._clock = clock
        self._last = float("-inf")
        self._waiting = Waiting(clock)
        self._told: set[str] = set()
        self._line = ""

    def __call__(self, progress: contract.Progress) -> None:
        if hint := self._waiting.news(progress):
            note(f"Push {self._push_id}: {hint}")
        now = self._clock()
        line = _line_of(progress)
        if now - self._last < _SECONDS_BETWEEN_LINES or line == self._line:
            return
        self._last, self._line = now, line
        note(f"Push {self._push_id}: {line}{self._news(progress)}")

    def _news(self, progress: contract.Progress) -> str:
        several = len({copy.source for copy in progress.copies}) > 1
        new = [copy for copy in progress.copies if copy.ended and copy.digest not in self._told]
        self._told |= {copy.digest for copy in new}
        news = ""
        for word, failed in (("done", False), ("failed", True)):
            names = [name_of_copy(copy, several=several) for copy in new if copy.failed is failed]
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            news += f"; {word} {', '.join(names[:_NAMED])}{more}" if names else ""
        return news

    def end(self, report: contract.PushReport) -> None:
        totals = report.totals
        note(f"Push {self._push_id} {report.state}: {size(totals.bytes_copied)} copied in {totals.seconds:.1f} s")


def _line_of(progress: contract.Progress) -> str:
    if progress.state == "enqueued":
        return "enqueued"
    if not progress.tags:
        return "looking at sources and destinations"
    return told_progress(progress)
