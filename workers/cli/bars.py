"""How far a push is, as bars on a terminal."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text

from tasks import contract
from workers.cli.amounts import count, progress_of, short, size
from workers.cli.waiting import Waiting

_BARS: Final = 8


class Bars:
    """A bar for the whole push, and one for each copy that moves bytes; all of them go when the push ends."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
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
        self._waiting = Waiting(clock)

    @classmethod
    def on_stderr(cls) -> Self:
        """Return bars on the terminal that stderr is."""
        return cls(Console(stderr=True))

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        # A terminal that was closed takes nothing any more.
        with suppress(OSError):
            self._bars.stop()

    def __call__(self, progress: contract.Progress) -> None:
        if hint := self._waiting.news(progress):
            self._bars.console.print(f"It {hint}", highlight=False, soft_wrap=True)
        done, total, ended = progress_of(progress)
        tags = f"{ended} of {len(progress.copies)} copies, {progress.tags_done} of {count(progress.tags, 'tag')}"
        described = progress.state if progress.tags or progress.state == "enqueued" else "planning"
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
