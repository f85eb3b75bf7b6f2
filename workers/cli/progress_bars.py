"""The progress of a push on a terminal: a line for the push, a bar for all bytes, and a bar for each active copy."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, Self

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from tasks import contract
from workers.amounts import count, progress_of, size
from workers.cli.names import name_of_copy
from workers.cli.waiting import Waiting

_BARS: Final = 8
# A narrower terminal has room for a name and a percentage only.
_WIDE: Final = 72
# A wider one has room for the whole name: its bars take the rest, beside the names.
_ROOMY: Final = 140


class Bars:
    """A bar for each copy that moves bytes, below a bar for the push; all bars disappear when the push ends."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._screen = _Screen(*_columns(console.width), console=console, transient=True, expand=True)
        self._total = self._screen.add_task("all", total=None, visible=False)
        self._copies: dict[str, TaskID] = {}
        self._waiting = Waiting(clock)

    @classmethod
    def on_stderr(cls) -> Self:
        """Return progress bars on stderr, which is a terminal."""
        return cls(Console(stderr=True))

    def __enter__(self) -> Self:
        self._screen.start()
        return self

    def __exit__(self, *_: object) -> None:
        # A closed terminal takes no more output.
        with suppress(OSError):
            self._screen.stop()

    def __call__(self, progress: contract.Progress) -> None:
        if hint := self._waiting.news(progress):
            self._screen.console.print(f"It {hint}", highlight=False, markup=False, soft_wrap=True)
        done, total, _ = progress_of(progress)
        self._screen.head = _head(progress)
        self._screen.update(self._total, completed=done, total=total or None, visible=bool(total))
        active = [copy for copy in progress.copies if copy.done and not copy.ended][:_BARS]
        for digest in self._copies.keys() - {copy.digest for copy in active}:
            self._screen.remove_task(self._copies.pop(digest))
        several = len({copy.source for copy in progress.copies}) > 1
        for copy in active:
            if copy.digest not in self._copies:
                name = name_of_copy(copy, several=several)
                self._copies[copy.digest] = self._screen.add_task(f"  {name}", total=None)
            self._screen.update(self._copies[copy.digest], completed=copy.done, total=copy.total or None)

    def end(self, report: contract.PushReport) -> None: ...


class _Screen(Progress):
    """Bars below a line of text."""

    head = "planning"

    def get_renderables(self) -> Iterable[RenderableType]:
        yield Text(self.head, no_wrap=True, overflow="ellipsis")
        yield self.make_tasks_table(self.tasks)


class _Moved(ProgressColumn):
    """A column of the moved and total bytes, and bytes per second."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text("")
        rate = f"{size(task.speed)}/s" if task.speed else ""
        return Text(f"{size(task.completed)} of {size(task.total)}  {rate:>11}", no_wrap=True)


def _columns(width: int) -> list[ProgressColumn]:
    roomy = width >= _ROOMY
    shape = Column(ratio=None if roomy else 1, no_wrap=True, overflow="ellipsis")
    name = TextColumn("{task.description}", markup=False, table_column=shape)
    if width < _WIDE:
        return [SpinnerColumn(style="dim"), name, TaskProgressColumn()]
    bar = BarColumn(bar_width=None, table_column=Column(ratio=1)) if roomy else BarColumn(bar_width=12)
    return [SpinnerColumn(style="dim"), name, bar, _Moved(), TimeRemainingColumn(compact=True)]


def _head(progress: contract.Progress) -> str:
    if not progress.tags:
        return progress.state if progress.state == "enqueued" else "planning"
    _, _, ended = progress_of(progress)
    copies = f"{ended} of {count(len(progress.copies), 'copy')}, " if progress.copies else ""
    return f"{progress.state}: {copies}{progress.tags_done} of {count(progress.tags, 'tag')}"
