"""Prometheus metrics: counters `imagepusher_<name>_total`, and histograms of durations."""

import threading
from collections.abc import Callable, Collection, Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import Any, Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

from tasks import contract, telemetry
from tasks.transfer.watchdog_verdict import Verdict
from workers.observability.backlog import Backlog, BacklogCollector
from workers.settings.document import LABEL_VALUES

_PREFIX: Final = "imagepusher_"

_HELP: Final[Mapping[str, str]] = {
    telemetry.PUSHES: "Pushes that ended, by the state of their report.",
    telemetry.REQUESTS_REFUSED: "Requests that were refused: invalid ones, and messages that no task can take.",
    telemetry.REQUESTS: "Requests that were taken on, by the producer who signed them.",
    telemetry.PUSH_SECONDS: "Seconds from taking a push on to its report.",
    telemetry.TAGS: "Tags that were dealt with, by what became of them.",
    telemetry.BLOBS: "Blobs brought into a repository, by how.",
    telemetry.BYTES: "Bytes of blobs brought into a repository, by how.",
    telemetry.MANIFESTS: "Manifests and indexes written.",
    telemetry.HTTP_REQUESTS: "Requests sent to registries; the status is `error` where no answer came.",
    telemetry.HTTP_RETRIES: "Requests sent again after a failure that may pass.",
    telemetry.RATE_LIMITED: "Answers 429 of registries.",
    telemetry.WAIT_SECONDS: "Seconds that work waited for budgets, tag locks, and blobs that someone else was moving.",
    telemetry.WATCHDOG: "Pushes that stopped making progress, by what the watchdog did.",
}

# A rate needs a value before the first increase: these series exist from the start.
_OUTCOMES: Final = ("copied", "mounted", "skipped")
_QUIET_VERDICTS: Final = frozenset({Verdict.WAIT, Verdict.STORE_RESULT})
_KNOWN: Final[Mapping[str, tuple[str, ...]]] = {
    telemetry.PUSHES: get_args(contract.State),
    # "" is the producer of requests that nobody signed.
    telemetry.REQUESTS: ("",),
    telemetry.REQUESTS_REFUSED: (telemetry.INVALID, telemetry.MALFORMED),
    telemetry.PUSH_SECONDS: get_args(contract.State),
    telemetry.TAGS: get_args(contract.Action),
    telemetry.BLOBS: _OUTCOMES,
    telemetry.BYTES: _OUTCOMES,
    telemetry.WAIT_SECONDS: (telemetry.BUDGET, telemetry.TAG_LOCK, telemetry.FLIGHT),
    telemetry.WATCHDOG: tuple(verdict.name.lower() for verdict in Verdict if verdict not in _QUIET_VERDICTS),
}

# An unchanged tag takes less than a second, an image of many GiB hours.
_PUSH_BUCKETS: Final = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600)

_OTHER: Final = "other"

Known = Mapping[str, Collection[str]]
_NONE_KNOWN: Final[Known] = MappingProxyType({})


class MetricsListener:
    """A listener that fills a Prometheus registry.

    A label has at most `most` values besides the `known` ones (registries and producers of the settings); all further
    values become `other`.
    """

    def __init__(self, registry: CollectorRegistry, known: Known = _NONE_KNOWN, most: int = LABEL_VALUES) -> None:
        self._known = known
        self._most = most
        # The start time of each series is useless here, and doubles the size of a scrape.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._counters = {
            name: Counter(_PREFIX + name, _HELP.get(name, name), labels, registry=registry)
            for name, labels in telemetry.COUNTERS.items()
        }
        self._histograms = {
            name: Histogram(_PREFIX + name, _HELP.get(name, name), labels, buckets=_PUSH_BUCKETS, registry=registry)
            for name, labels in telemetry.DURATIONS.items()
        }
        for name, values in _KNOWN.items():
            for value in values:
                (self._counters.get(name) or self._histograms[name]).labels(value)
        self._seen: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def count(self, name: str, amount: float, labels: Mapping[str, str]) -> None:
        counter = self._counters.get(name)
        if counter is not None and amount >= 0:
            values = self._values(telemetry.COUNTERS[name], labels)
            (counter.labels(*values) if values else counter).inc(amount)

    def observe(self, name: str, seconds: float, labels: Mapping[str, str]) -> None:
        histogram = self._histograms.get(name)
        if histogram is not None:
            values = self._values(telemetry.DURATIONS[name], labels)
            (histogram.labels(*values) if values else histogram).observe(seconds)

    def span(self, name: str, attributes: Mapping[str, Any]) -> None:
        """Trace nothing."""

    def _values(self, names: tuple[str, ...], labels: Mapping[str, str]) -> list[str]:
        return [self._bounded(name, labels.get(name, "")) for name in names]

    def _bounded(self, name: str, value: str) -> str:
        seen = self._seen.setdefault(name, set())
        if value in seen or value in self._known.get(name, ()):
            return value
        with self._lock:
            if len(seen) >= self._most:
                return _OTHER
            seen.add(value)
        return value


def worker_metrics(
    read_backlog: Callable[[], Backlog], known: Known = _NONE_KNOWN, most: int = LABEL_VALUES
) -> tuple[CollectorRegistry, MetricsListener]:
    """Return the metrics registry of a worker, and the listener that fills it."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    built = Gauge(f"{_PREFIX}build_info", "1, labelled with the version.", ("version",), registry=registry)
    built.labels(version("imagepusher")).set(1)
    registry.register(BacklogCollector(read_backlog))
    return registry, MetricsListener(registry, known, most)
