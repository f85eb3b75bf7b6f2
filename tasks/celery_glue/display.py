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
WAITING_EVENT: Final = "task-waiting"
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


class TaskView:
    """A running task as monitors show it; made in its thread, used by any. If the broker is away, the task goes on."""

    def __init__(self, task: Task[Any, Any]) -> None:
        self._app, self.task_id, self._hostname = task.app, str(task.request.id), task.request.hostname

    def progress(self, text: str, task_id: str | None = None) -> None:
        """Show the task, or another one, in state PROGRESS, with a text as its result."""
        self._send(PROGRESS_EVENT, task_id, text)

    def waiting(self, waiting: contract.Waiting, task_id: str | None = None) -> None:
        """Show the task, or another one, in state WAITING: since and until when, in UTC, and for what."""
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(waiting.since))
        until = time.strftime("%H:%M:%S", time.gmtime(waiting.until))
        text = f"since {since}, until {until} UTC: [{waiting.reason.code}] {waiting.reason.message}"
        self._send(WAITING_EVENT, task_id, text)

    def _send(self, event: str, task_id: str | None, text: str) -> None:
        if not self._app.conf.worker_send_task_events:
            return
        with suppress(Exception), self._app.events.default_dispatcher(hostname=self._hostname) as dispatcher:
            dispatcher.send(event, uuid=task_id or self.task_id, retry=False, result=text)


class CopyMeter:
    """The progress display of a copy, at most once a second; `text` is the latest state.

    `went_on` is called once, as soon as the copy gets ahead.
    """

    def __init__(self, show: Callable[[str], None], went_on: Callable[[], None] = lambda: None) -> None:
        self.text: str | None = None
        self._show = show
        self._shown = time.monotonic()
        self._went_on: Callable[[], None] | None = went_on

    def __call__(self, progress: contract.CopyProgress) -> None:
        self._tell_once()
        if not progress.ended and time.monotonic() - self._shown >= _EVERY_SECONDS:
            self._shown = time.monotonic()
            self._show(f"{progress.done / _MEBIBYTE:.1f} of {progress.total / _MEBIBYTE:.1f} MiB")

    def end(self, outcome: CopyOutcome) -> None:
        """Keep the outcome of the copy as the text."""
        self._tell_once()
        totals = outcome.totals
        parts = [
            f"{totals.bytes_copied / _MEBIBYTE:.1f} MiB copied" if totals.blobs_copied else "",
            f"{counted(totals.blobs_mounted, 'blob')} mounted" if totals.blobs_mounted else "",
            *(f"failed for {repository}: {error.code}" for repository, error in outcome.errors.items()),
        ]
        self.text = "; ".join(part for part in parts if part) or "there already"

    def _tell_once(self) -> None:
        went_on, self._went_on = self._went_on, None
        if went_on is not None:
            went_on()


def _reference(text: object) -> str:
    try:
        reference = Reference.parse(str(text))
    except ValueError:
        return "an invalid reference"
    tag = f":{reference.tag}" if reference.tag else ""
    digest = f"@{shortened(reference.digest)}" if reference.digest else ""
    shown = f"{reference.name}{tag}{digest}"
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
