"""The display of a task in monitors such as Flower: a short form of its arguments, and its progress as a state."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from celery import Task

from tasks import contract
from tasks.oci.reference import Reference
from tasks.transfer.ports import CopyOutcome
from tasks.transfer.request.outline import outlined

PROGRESS_EVENT: Final = "task-progress"
_EVERY_SECONDS: Final = 1.0
_SHOWN_DIGITS: Final = 6
_SHOWN: Final = 200
_MEBIBYTE: Final = 1 << 20


def describe_push(request: object) -> str:
    """Return a short description of a push.

    The request is unchecked: the description repeats only well-formed references from it.
    """
    sources: list[object] = []
    repositories: set[object] = set()
    tags = 0
    for source, destinations in outlined(request):
        sources.append(source)
        repositories |= destinations.keys()
        tags += sum(len(names) for names in destinations.values() if isinstance(names, list))
    if not sources:
        return "(an invalid request)"
    more = f" and {len(sources) - 1} more" if sources[1:] else ""
    into = f" in {counted(len(repositories), 'repository')}" if len(repositories) > 1 else ""
    return f"({_reference(sources[0])}{more} → {counted(tags, 'tag')}{into})"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the singular or the plural."""
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else many}"


def shortened(digest: str) -> str:
    """Return the algorithm and the first digits of a digest."""
    algorithm, _, encoded = digest.partition(":")
    return f"{algorithm}:{encoded[:_SHOWN_DIGITS]}…"


def progress_of(task: Task[Any, Any]) -> Callable[[str], None]:
    """Return a function that makes monitors show the running task in state PROGRESS, with a text as its result.

    The function may be called from any thread. If it fails, the task goes on.
    """
    app, task_id, hostname = task.app, task.request.id, task.request.hostname

    def show(text: str) -> None:
        if not app.conf.worker_send_task_events:
            return
        with suppress(Exception), app.events.default_dispatcher(hostname=hostname) as dispatcher:
            dispatcher.send(PROGRESS_EVENT, uuid=task_id, retry=False, result=text)

    return show


class CopyMeter:
    """The progress display of a copy, at most once a second; `text` is the latest state."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.text: str | None = None
        self._show = show
        self._shown = time.monotonic()

    def __call__(self, progress: contract.CopyProgress) -> None:
        if not progress.ended and time.monotonic() - self._shown >= _EVERY_SECONDS:
            self._shown = time.monotonic()
            self._show(f"{progress.done / _MEBIBYTE:.1f} of {progress.total / _MEBIBYTE:.1f} MiB")

    def end(self, outcome: CopyOutcome) -> None:
        """Keep the outcome of the copy as the text."""
        totals = outcome.totals
        parts = [
            f"{totals.bytes_copied / _MEBIBYTE:.1f} MiB copied" if totals.blobs_copied else "",
            f"{counted(totals.blobs_mounted, 'blob')} mounted" if totals.blobs_mounted else "",
            *(f"failed for {repository}: {error.code}" for repository, error in outcome.errors.items()),
        ]
        self.text = "; ".join(part for part in parts if part) or "there already"


def _reference(text: object) -> str:
    try:
        reference = Reference.parse(str(text))
    except ValueError:
        return "an invalid reference"
    tag = f":{reference.tag}" if reference.tag else ""
    digest = f"@{shortened(reference.digest)}" if reference.digest else ""
    shown = f"{reference.name}{tag}{digest}"
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
