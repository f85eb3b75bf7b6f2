"""What the watchdog does is counted and logged for the push that it does it to."""

import redis

from tests.integration.observability.collector import Collector
from tests.integration.observability.conftest import Watched, producer_of
from tests.support.images import image
from tests.support.processes import wait_until
from tests.support.redis_server import RedisServer
from tests.support.registries import DistributionRegistry
from tests.support.stored import upload
from tests.support.workers import running_worker


def test_a_push_that_is_driven_on_and_then_lost_is_counted_logged_and_traced(
    collector: Collector, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str
) -> None:
    upload(registry_a.host, f"{name}/src", image(), "1")
    item = {"source": f"{registry_a.host}/{name}/src:1", "destinations": {f"{registry_b.host}/{name}": ["1"]}}
    with RedisServer() as server, redis.Redis.from_url(server.url) as client:
        settings = {
            "IMAGEPUSHER_BROKER_URL": server.url,
            "IMAGEPUSHER_METRICS_ADDRESS": "127.0.0.1:0",
            "IMAGEPUSHER_TRACING_ENDPOINT": collector.url,
            "IMAGEPUSHER_STALL_SECONDS": "0.5",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        # Nobody serves the copies.
        with running_worker(settings, ["--queues", "push,publish"]) as worker:
            watched = Watched(worker, collector, producer_of(server))
            push_id = watched.send({"items": [item]})
            wait_until(lambda: client.llen("imagepusher:imagepusher.copy") > 0, "the copy was never sent")
            client.delete("imagepusher:imagepusher.copy")

            def did(action: str) -> float:
                return watched.scrape().value("imagepusher_watchdog_interventions_total", action=action)

            wait_until(lambda: did("drive_on") >= 1, "the watchdog never drove the push on")
            wait_until(lambda: client.llen("imagepusher:imagepusher.copy") > 0, "the copy was never sent again")
            client.delete(f"imagepusher:push:{push_id}")
            wait_until(lambda: did("declare_lost") == 1, "the watchdog never noticed the loss")

            def errors() -> list[str]:
                lines = watched.log_of(push_id)
                return [line["code"] for line in lines if line["event"] == "push-images-to-quay-error"]

            wait_until(lambda: errors() == ["push_unknown"], "the log never told the end of the push")
            wait_until(
                lambda: any(
                    (span.name, span.attributes.get("imagepusher.push_id")) == ("watchdog", push_id)
                    for span in collector.spans
                ),
                "no span told of what the watchdog sent",
            )
