"""The backlog, read from broker and ledger at each scrape: every worker reports the same numbers."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from celery import Celery
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tasks import contract
from tasks.transfer.ports import OpenPush
from workers.broker.queues import queue_lengths

_PATIENCE_SECONDS: Final = 0.8


@dataclass(frozen=True)
class Backlog:
    """Messages and workers by queue, and the age in seconds of each open push since its acceptance.

    `waiting` counts the open pushes that no worker has started, and those that pause for a registry. `longest` has the
    seconds of the longest such pause so far, by the code of its reason.
    """

    queues: Mapping[str, int]
    open_ages: Sequence[float]
    workers: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0
    longest: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class BacklogSources:
    """The sources of the numbers that the broker does not have; each may raise the errors of ledger or Redis."""

    open_ages: Callable[[], Sequence[float]]
    open_pushes: Callable[[], Sequence[OpenPush]] = tuple
    workers: Callable[[], Mapping[str, int]] = dict
    waits: Callable[[str], Mapping[str, contract.Waiting]] = lambda _: {}


def read_backlog(app: Celery, sources: BacklogSources, clock: Callable[[], float] = time.time) -> Backlog:
    """Return the backlog; raises the errors of broker and ledger."""
    now = clock()
    waiting = [push for push in sources.open_pushes() if not push.ended and is_waiting(push, now)]
    # Of the others, which may be thousands, none pauses.
    resting = [push for push in waiting if push.quiet_since > now]
    longest = longest_waits((wait for push in resting for wait in sources.waits(push.push_id).values()), now)
    return Backlog(queue_lengths(app), sources.open_ages(), sources.workers(), len(waiting), longest)


def longest_waits(waits: Iterable[contract.Waiting], now: float) -> dict[str, float]:
    """Return the seconds of the longest present wait for each reason, by its code; `now` is in epoch seconds."""
    longest: dict[str, float] = {}
    for wait in waits:
        if wait.until > now:
            longest[wait.reason.code] = max(longest.get(wait.reason.code, 0.0), now - wait.since)
    return longest


def is_waiting(push: OpenPush, now: float) -> bool:
    """Tell whether a push is idle: no worker has started it, or it pauses; `now` is in epoch seconds."""
    return not push.accepted or push.quiet_since > now


class BacklogCollector(Collector):
    """A collector that calls `read` at each scrape, and omits the backlog if the call fails or takes too long.

    Only one thread reads at a time: during an outage of Redis, all scrapes wait for the same answer.
    """

    def __init__(self, read: Callable[[], Backlog], patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._read = read
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._asked: Future[Backlog] | None = None

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name the metrics, so that registration does not read the backlog."""
        yield from _families(Backlog({}, ()))

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            backlog = self._ask().result(self._patience_seconds)
        except Exception:  # noqa: BLE001 - on any error of broker and ledger, the other metrics are served
            yield _up(0)
            return
        yield from _families(backlog)

    def _ask(self) -> "Future[Backlog]":
        with self._lock:
            if self._asked is None:
                self._asked = Future()
                threading.Thread(target=self._answer, args=(self._asked,), name="backlog", daemon=True).start()
            return self._asked

    def _answer(self, asked: "Future[Backlog]") -> None:
        try:
            asked.set_result(self._read())
        except BaseException as error:  # noqa: BLE001 - passed on to the waiting threads
            asked.set_exception(error)
        finally:
            with self._lock:
                self._asked = None


def _families(backlog: Backlog) -> Iterator[GaugeMetricFamily]:
    queues = GaugeMetricFamily("imagepusher_queue_length", "Messages that wait in a queue.", labels=("queue",))
    for queue, length in backlog.queues.items():
        queues.add_metric((queue,), length)
    yield queues
    workers = GaugeMetricFamily("imagepusher_queue_workers", "Workers that serve a queue.", labels=("queue",))
    for queue, number in backlog.workers.items():
        workers.add_metric((queue,), number)
    yield workers
    yield GaugeMetricFamily(
        "imagepusher_waiting_pushes",
        "Open pushes of which nothing is under way: no worker took them on, or they rest.",
        backlog.waiting,
    )
    longest = GaugeMetricFamily(
        "imagepusher_longest_wait_seconds",
        "Seconds that the longest present rest of a push has lasted, by the code of its reason.",
        labels=("reason",),
    )
    for reason, seconds in backlog.longest.items():
        longest.add_metric((reason,), seconds)
    yield longest
    yield GaugeMetricFamily("imagepusher_open_pushes", "Pushes that have not ended.", len(backlog.open_ages))
    yield GaugeMetricFamily(
        "imagepusher_oldest_push_age_seconds",
        "Seconds since the oldest of them was accepted; 0 where there is none.",
        max(backlog.open_ages, default=0),
    )
    yield _up(1)


def _up(value: int) -> GaugeMetricFamily:
    return GaugeMetricFamily("imagepusher_state_up", "Whether broker and ledger answered this scrape in time.", value)
