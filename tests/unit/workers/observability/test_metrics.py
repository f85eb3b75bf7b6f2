"""What the code counts becomes Prometheus' metrics, with labels that are bounded."""

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tasks import telemetry
from workers.observability import metrics
from workers.observability.backlog import Backlog
from workers.observability.metrics import MetricsListener, worker_metrics


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def listening(registry: CollectorRegistry) -> Iterator[MetricsListener]:
    """Listen to what the code says, as a worker does."""
    listener = MetricsListener(registry)
    telemetry.listen(listener)
    yield listener
    telemetry.stop_listening(listener)


def test_counts_add_up_by_name_and_labels(registry: CollectorRegistry, listening: MetricsListener) -> None:
    telemetry.count(telemetry.BYTES, 5, outcome="copied")
    telemetry.count(telemetry.BYTES, 6, outcome="copied")
    telemetry.count(telemetry.MANIFESTS)
    telemetry.count(telemetry.HTTP_REQUESTS, status="200", registry="quay.io", method="GET")
    assert registry.get_sample_value("imagepusher_bytes_total", {"outcome": "copied"}) == 11
    assert registry.get_sample_value("imagepusher_manifests_total") == 1
    labels = {"registry": "quay.io", "method": "GET", "status": "200"}
    assert registry.get_sample_value("imagepusher_http_requests_total", labels) == 1


def test_durations_fall_into_buckets(registry: CollectorRegistry, listening: MetricsListener) -> None:
    telemetry.observe(telemetry.PUSH_SECONDS, 3.5, state="succeeded")

    def bucket(bound: str) -> float | None:
        return registry.get_sample_value("imagepusher_push_seconds_bucket", {"state": "succeeded", "le": bound})

    assert (bucket("2.5"), bucket("5.0"), bucket("+Inf")) == (0, 1, 1)
    assert registry.get_sample_value("imagepusher_push_seconds_sum", {"state": "succeeded"}) == 3.5


def test_the_first_failure_is_an_increase_from_zero(registry: CollectorRegistry, listening: MetricsListener) -> None:
    """A series that begins at 1 has not increased, as Prometheus sees it."""
    for state in ("succeeded", "partial", "failed"):
        assert registry.get_sample_value("imagepusher_pushes_total", {"state": state}) == 0
    assert registry.get_sample_value("imagepusher_wait_seconds_total", {"on": "tag_lock"}) == 0


def test_after_fifty_values_of_a_label_comes_other(registry: CollectorRegistry, listening: MetricsListener) -> None:
    for number in range(60):
        telemetry.count(telemetry.RATE_LIMITED, registry=f"registry-{number}.example")
    telemetry.count(telemetry.RATE_LIMITED, registry="registry-0.example")
    (family,) = (family for family in registry.collect() if family.name == "imagepusher_rate_limited")
    by_registry = {sample.labels["registry"]: sample.value for sample in family.samples}
    assert len(by_registry) == 51
    assert by_registry["registry-0.example"] == 2
    assert by_registry["other"] == 10
    # The bound is the registries', not that of one counter.
    telemetry.count(telemetry.HTTP_RETRIES, registry="late.example")
    assert registry.get_sample_value("imagepusher_http_retries_total", {"registry": "other"}) == 1


@pytest.mark.parametrize(
    ("name", "amount", "labels"),
    [("unheard_of", 1, {}), (telemetry.BYTES, -1, {"outcome": "copied"}), (telemetry.BYTES, 1, {"out": "copied"})],
)
def test_a_defect_in_what_is_counted_breaks_no_push(
    listening: MetricsListener, name: str, amount: float, labels: dict[str, Any]
) -> None:
    telemetry.count(name, amount, **labels)
    telemetry.observe(name, amount, **labels)


def test_every_name_of_the_facade_has_a_help_text() -> None:
    assert metrics._HELP.keys() == telemetry.COUNTERS.keys() | telemetry.DURATIONS.keys()


def test_a_worker_also_shows_its_version_its_memory_and_what_waits() -> None:
    registry, _ = worker_metrics(lambda: Backlog({"imagepusher.copy": 7}, [3.0, 40.0]))
    assert registry.get_sample_value("imagepusher_queue_length", {"queue": "imagepusher.copy"}) == 7
    assert registry.get_sample_value("imagepusher_open_pushes") == 2
    assert registry.get_sample_value("imagepusher_oldest_push_age_seconds") == 40
    assert registry.get_sample_value("imagepusher_state_up") == 1
    assert registry.get_sample_value("process_resident_memory_bytes")
    (built,) = (family for family in registry.collect() if family.name == "imagepusher_build_info")
    assert built.samples[0].value == 1


def test_labels_that_the_settings_name_are_never_crowded_out() -> None:
    registry = CollectorRegistry()
    listener = MetricsListener(registry, {"registry": {"quay.example"}}, most=2)
    for host in ("a.example", "b.example", "c.example", "quay.example"):
        listener.count(telemetry.RATE_LIMITED, 1, {"registry": host})
    counted = {
        host: registry.get_sample_value("imagepusher_rate_limited_total", {"registry": host})
        for host in ("a.example", "b.example", "c.example", "other", "quay.example")
    }
    assert counted == {"a.example": 1, "b.example": 1, "c.example": None, "other": 1, "quay.example": 1}
