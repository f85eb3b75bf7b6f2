"""How far a push is, on stderr: bars on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text

from tasks import contract
from workers.cli.amounts import count, progress_of, short, size
from workers.cli.output import note

_SECONDS_BETWEEN_LINES: Final = 3.0
_NAMED: Final = 3
_BARS: Final = 8


class Follower(Protocol):
    """What is told how far a push is."""

    def __call__(self, progress: contract.Progress) -> None:
        """Show one snapshot."""
        ...

    def end(self, report: contract.PushReport) -> None:
        """Show that the push ended."""
        ...


@contextmanager
def follow_push(push_id: str, *, quiet: bool, bars: bool) -> Iterator[Follower]:
    """Yield what shows the progress of a push: nothing, bars, or lines."""
    if quiet:
        yield Silence()
    elif bars:
        note(f"Push {push_id}")
        with Bars(Console(stderr=True)) as follower:
            yield follower
    else:
        yield Lines(push_id)


class Silence:
    def __call__(self, progress: contract.Progress) -> None: ...

    def end(self, report: contract.PushReport) -> None: ...


class Lines:
    """A line for the copies that ended since the last one, at most one every few seconds."""

    def __init__(self, push_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._push_id = push_id
        self._clock = clock
        self._last = float("-inf")
        self._told: set[str] = set()
        self._line = ""

    def __call__(self, progress: contract.Progress) -> None:
        now = self._clock()
        line = _line_of(progress)
        if now - self._last < _SECONDS_BETWEEN_LINES or line == self._line:
            return
        self._last, self._line = now, line
        note(f"Push {self._push_id}: {line}{self._news(progress)}")

    def _news(self, progress: contract.Progress) -> str:
        new = [copy for copy in progress.copies if copy.ended and copy.digest not in self._told]
        self._told |= {copy.digest for copy in new}
        news = ""
        for word, failed in (("done", False), ("failed", True)):
            names = [short(copy.digest) for copy in new if copy.failed is failed]
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            news += f"; {word} {', '.join(names[:_NAMED])}{more}" if names else ""
        return news

    def end(self, report: contract.PushReport) -> None:
        totals = report.totals
        note(f"Push {self._push_id} {report.state}: {size(totals.bytes_copied)} copied in {totals.seconds:.1f} s")


def _line_of(progress: contract.Progress) -> str:
    if not progress.tags:
        return "looking at sources and destinations"
    done, total, ended = progress_of(progress)
    copies = f"{ended} of {len(progress.copies)} copies, {size(done)} of {size(total)}, " if progress.copies else ""
    return f"{copies}{progress.tags_done} of {count(progress.tags, 'tag')}"


class Bars:
    """A bar for the whole push, and one for each copy that moves bytes; all of them go when the push ends."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            SpinnerColumn(style="dim"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            _Moved(),
            TextColumn("[dim]{task.fields[note]}"),
            console=console,
            transient=True,
        )
        self._total = self._bars.add_task("planning", total=None, note="")
        self._copies: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, progress: contract.Progress) -> None:
        done, total, ended = progress_of(progress)
        tags = f"{ended} of {len(progress.copies)} copies, {progress.tags_done} of {count(progress.tags, 'tag')}"
        described = progress.state if progress.tags else "planning"
        self._bars.update(
            self._total,
            description=f"{described:<12}",
            completed=done,
            total=total or None,
            note=tags if progress.tags else "",
        )
        active = [copy for copy in progress.copies if copy.done and not copy.ended][:_BARS]
        for digest in self._copies.keys() - {copy.digest for copy in active}:
            self._bars.remove_task(self._copies.pop(digest))
        for copy in active:
            if copy.digest not in self._copies:
                self._copies[copy.digest] = self._bars.add_task(f"[dim]{short(copy.digest)}", total=None, note="")
            self._bars.update(self._copies[copy.digest], completed=copy.done, total=copy.total or None)

    def end(self, report: contract.PushReport) -> None: ...


class _Moved(ProgressColumn):
    """Bytes moved of those to move, and bytes a second."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text("")
        rate = f"  {size(task.speed)}/s" if task.speed else ""
        return Text(f"{size(task.completed)} of {size(task.total)}{rate}")
