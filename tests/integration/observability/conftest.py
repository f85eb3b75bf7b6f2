"""Real workers that are watched: their log, their metrics and a collector for their traces."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from celery import Celery
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.observability.collector import Collector
from tests.support.redis_server import RedisServer
from tests.support.workers import Worker, running_worker

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass(frozen=True)
class Watched:
    """A worker, and what can be seen of it."""

    worker: Worker
    collector: Collector
    producer: Celery

    def send(self, request: Mapping[str, Any], **options: Any) -> str:
        """Enqueue a push as a stranger does, and return its id."""
        return str(self.producer.send_task("imagepusher.push.v1", [request], queue="imagepusher.push", **options).id)

    def push(self, request: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        """Enqueue a push and return its report, or that of its failure."""
        result = self.producer.AsyncResult(self.send(request, **options))
        found = result.get(timeout=300, propagate=False)
        report: dict[str, Any] = found.args[1] if isinstance(found, Exception) else found
        return report

    def scrape(self) -> "Scrape":
        return scrape(address_of(self.worker))

    def log(self) -> list[dict[str, Any]]:
        """Return the lines of the log so far; every one of them is a JSON object."""
        return [json.loads(line) for line in self.worker.log().splitlines()]

    def log_of(self, push_id: str) -> list[dict[str, Any]]:
        """Return the lines about a push."""
        return [line for line in self.log() if line.get("push_id") == push_id]


class Scrape:
    """What one scrape saw."""

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self.names = {sample.name for family in families for sample in family.samples}
        self._samples: Samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """Return a sample, 0 where it is not there."""
        return self._samples.get((name, frozenset(labels.items())), 0.0)

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of all samples that have these labels."""
        return sum(value for (each, given), value in self._samples.items() if each == name and labels.items() <= given)

    def since(self, earlier: "Scrape", name: str, **labels: str) -> float:
        """Return by how much a sum grew."""
        return self.total(name, **labels) - earlier.total(name, **labels)


def address_of(worker: Worker) -> str:
    """Return where a worker serves its metrics, by its log."""
    found = re.search(r"http://(\S+)/metrics", worker.log())
    assert found, worker.log()
    return found[1]


def scrape(address: str) -> Scrape:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"http://{address}/metrics", timeout=30)
    assert answer.status_code == 200
    return Scrape(answer.text)


def producer_of(redis: RedisServer) -> Celery:
    """Return an application that has never heard of the project."""
    app = Celery("somebody", broker=redis.url, backend=redis.url, set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": "imagepusher:"}
    app.conf.result_backend_transport_options = {"global_keyprefix": "imagepusher:"}
    return app


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """Start a Redis in which nothing but the pushes of these tests waits."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running
        assert not running.faults


@pytest.fixture(scope="module")
def watched(redis: RedisServer, collector: Collector) -> Iterator[Watched]:
    """Share one worker of which all is watched."""
    settings = {
        "IMAGEPUSHER_BROKER_URL": redis.url,
        "IMAGEPUSHER_METRICS_ADDRESS": "127.0.0.1:0",
        "IMAGEPUSHER_TRACING_ENDPOINT": collector.url,
        # Spans are sent soon, not after five seconds.
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with running_worker(settings, ["--concurrency", "4"]) as worker:
        yield Watched(worker, collector, producer_of(redis))
