"""Metrics of real workers: what they count is what was done, and a broker that is away never holds up a scrape."""

import pytest

from tests.integration.observability.conftest import Watched, address_of, producer_of, scrape
from tests.support.images import image, index, layer
from tests.support.processes import free_port, wait_until
from tests.support.redis_server import RedisServer
from tests.support.registries import DistributionRegistry
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.support.stored import upload
from tests.support.workers import running_worker
from tests.unit.registry.clients import PING

PLATFORMS = ("linux/amd64", "linux/arm64")


def test_counters_grow_by_what_the_report_says(
    watched: Watched, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str
) -> None:
    before, requests_before = watched.scrape(), len(registry_b.requests())
    source = index([image(platform, [layer(f"{name}{platform}", 5000)]) for platform in PLATFORMS])
    upload(registry_a.host, f"{name}/src", source, "1")
    destinations = {f"{registry_b.host}/{name}/dst": ["1", "2"], f"{registry_b.host}/{name}/other": ["1"]}
    item = {"source": f"{registry_a.host}/{name}/src:1", "destinations": destinations}
    report = watched.push({"items": [item]})
    after = watched.scrape()

    totals = report["totals"]
    assert totals["bytes_copied"] > 10_000
    assert after.since(before, "imagepusher_pushes_total", state="succeeded") == 1
    assert after.since(before, "imagepusher_pushes_total") == 1
    assert after.since(before, "imagepusher_push_seconds_count", state="succeeded") == 1
    assert after.since(before, "imagepusher_push_seconds_sum") == pytest.approx(totals["seconds"], abs=0.01)
    assert after.since(before, "imagepusher_tags_total", action="copied") == 3
    assert after.since(before, "imagepusher_tags_total") == 3
    assert after.since(before, "imagepusher_bytes_total", outcome="copied") == totals["bytes_copied"]
    for outcome in ("copied", "mounted", "skipped"):
        assert after.since(before, "imagepusher_blobs_total", outcome=outcome) == totals[f"blobs_{outcome}"]
    assert after.since(before, "imagepusher_manifests_total") == totals["manifests_copied"]
    counted = after.since(before, "imagepusher_http_requests_total", registry=registry_b.host)
    assert counted == len(registry_b.requests()) - requests_before


def test_a_push_that_failed_counts_as_such(
    watched: Watched, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str
) -> None:
    before = watched.scrape()
    item = {"source": f"{registry_a.host}/{name}/gone:1", "destinations": {f"{registry_b.host}/{name}": ["1"]}}
    assert watched.push({"items": [item]})["state"] == "failed"
    after = watched.scrape()
    assert after.since(before, "imagepusher_pushes_total", state="failed") == 1
    assert after.since(before, "imagepusher_tags_total", action="failed") == 1


def test_a_refused_request_counts_as_such(watched: Watched) -> None:
    before = watched.scrape()
    push_id = watched.send({"items": []})
    wait_until(
        lambda: watched.scrape().since(before, "imagepusher_requests_refused_total", reason="invalid") == 1,
        f"the refusal of {push_id} was never counted",
    )


def test_known_labels_are_all_that_occur(
    watched: Watched, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str
) -> None:
    """A label that is not announced from the start has no rate for its first increase."""
    idle = watched.scrape()
    upload(registry_a.host, f"{name}/src", image(), "1")
    item = {"source": f"{registry_a.host}/{name}/src:1", "destinations": {f"{registry_b.host}/{name}": ["1"]}}
    watched.push({"items": [item]})
    busy = watched.scrape()
    labelled_by_registry = {"imagepusher_http_requests_total", "imagepusher_http_retries_total"}
    assert busy.names - labelled_by_registry == idle.names - labelled_by_registry


def test_what_waits_is_seen_by_any_worker(
    registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str
) -> None:
    """Nobody serves the copies, so that they wait."""
    source = index([image(platform, [layer(f"{name}{platform}", 100)]) for platform in PLATFORMS])
    upload(registry_a.host, f"{name}/src", source, "1")
    item = {"source": f"{registry_a.host}/{name}/src:1", "destinations": {f"{registry_b.host}/{name}": ["1"]}}
    with RedisServer() as redis:
        settings = {"IMAGEPUSHER_BROKER_URL": redis.url, "IMAGEPUSHER_METRICS_ADDRESS": "127.0.0.1:0"}
        with running_worker(settings, ["--queues", "push,publish"]) as worker:
            address = address_of(worker)
            idle = scrape(address)
            assert (idle.value("imagepusher_open_pushes"), idle.value("imagepusher_state_up")) == (0, 1)
            assert idle.value("imagepusher_waiting_pushes") == 0
            wait_until(
                lambda: scrape(address).value("imagepusher_queue_workers", queue="imagepusher.push") == 1,
                "the worker was never counted",
            )
            assert scrape(address).value("imagepusher_queue_workers", queue="imagepusher.copy") == 0
            app = producer_of(redis)
            app.send_task("imagepusher.push.v1", [{"items": [item]}], queue="imagepusher.push")
            wait_until(
                lambda: scrape(address).value("imagepusher_queue_length", queue="imagepusher.copy") == 2,
                "two copies never waited",
            )
            waiting = scrape(address)
            assert waiting.value("imagepusher_queue_length", queue="imagepusher.push") == 0
            assert waiting.value("imagepusher_open_pushes") == 1
            assert waiting.value("imagepusher_oldest_push_age_seconds") > 0


def test_a_push_that_rests_for_a_registry_says_for_what(registry_b: DistributionRegistry, name: str) -> None:
    """Rule 8.3."""
    limit = Exchange("GET", f"/v2/{name}/manifests/1", Answer(429, {"Retry-After": "300"}))
    with RedisServer() as redis, ScriptedRegistry(PING, limit) as limited:
        settings = {"IMAGEPUSHER_BROKER_URL": redis.url, "IMAGEPUSHER_METRICS_ADDRESS": "127.0.0.1:0"}
        item = {"source": f"{limited.host}/{name}:1", "destinations": {f"{registry_b.host}/{name}": ["1"]}}
        with running_worker(settings) as worker:
            address = address_of(worker)
            assert "imagepusher_longest_wait_seconds" not in scrape(address).names
            producer_of(redis).send_task("imagepusher.push.v1", [{"items": [item]}], queue="imagepusher.push")
            wait_until(
                lambda: "imagepusher_longest_wait_seconds" in scrape(address).names,
                "the rest of the push was never told",
            )
            resting = scrape(address)
            assert 0 <= resting.value("imagepusher_longest_wait_seconds", reason="rate_limited") < 300
            assert resting.value("imagepusher_waiting_pushes") == 1


def test_a_redis_that_is_away_leaves_the_other_metrics_and_comes_back() -> None:
    with RedisServer(appendonly=True) as redis:
        settings = {"IMAGEPUSHER_BROKER_URL": redis.url, "IMAGEPUSHER_METRICS_ADDRESS": "127.0.0.1:0"}
        with running_worker(settings) as worker:
            address = address_of(worker)
            redis.kill()
            away = scrape(address)
            assert away.value("imagepusher_state_up") == 0
            assert "imagepusher_queue_length" not in away.names
            assert "imagepusher_pushes_total" in away.names
            redis.restart()
            wait_until(lambda: scrape(address).value("imagepusher_state_up") == 1, "what waits was never seen again")


def test_two_workers_at_one_address_both_work_and_the_second_says_what_is_amiss(redis: RedisServer) -> None:
    settings = {
        "IMAGEPUSHER_BROKER_URL": redis.url,
        "IMAGEPUSHER_METRICS_ADDRESS": f"127.0.0.1:{free_port()}",
    }
    with running_worker(settings) as first, running_worker(settings) as second:
        address = address_of(first)
        assert f"Metrics are not served at {address}: Address already in use" in second.log()
        assert scrape(address).value("imagepusher_state_up") == 1
        assert second.process.poll() is None


def test_without_the_setting_nothing_is_served(redis: RedisServer) -> None:
    with running_worker({"IMAGEPUSHER_BROKER_URL": redis.url}) as worker:
        assert "etrics" not in worker.log()
