"""RabbitMQ as the broker, with results and ledger on Redis (BEHAVIOUR 7.4, 7.5)."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from kombu import Connection, Producer

from tests.chaos.conftest import OpenSite
from tests.chaos.site import Delay, Site, item, small_index
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import Index
from tests.support.processes import wait_until
from tests.support.rabbitmq import RabbitMQ


@pytest.fixture(scope="module")
def broker() -> Iterator[RabbitMQ]:
    with RabbitMQ() as server:
        yield server


@pytest.fixture(scope="module")
def rabbit_site(broker: RabbitMQ, open_module_site: OpenSite) -> Site:
    site = open_module_site({}, broker_url=broker.url)
    site.fleet.start(2)
    return site


@pytest.fixture
def site(rabbit_site: Site) -> Site:
    rabbit_site.arms.clear()
    rabbit_site.before.clear()
    rabbit_site.fleet.replace(2)
    return rabbit_site


def scene(site: Site, name: str, host: str) -> tuple[dict[str, Any], Index]:
    source = small_index(name, *(f"a{number}" for number in range(4)), layers=3)
    site.put_a(f"{name}/src", source)
    site.put_b(f"{name}/dst", small_index(f"{name}-old", "ppc64le"), "merged")
    return {"items": [item(f"{host}/{name}/src:1", {f"{site.b.host}/{name}/dst": ["merged", "new"]})]}, source


def check(site: Site, report: dict[str, Any], source: Index) -> None:
    assert [tag["action"] for tag in report["items"][0]["tags"]] == ["merged", "copied"], report
    assert report["items"][0]["tags"][1]["new_digest"] == source.digest
    site.judge(report)
    site.settle()


def test_a_push_over_rabbitmq(site: Site, name: str) -> None:
    request, source = scene(site, name, site.a.host)
    check(site, site.report(site.send(request)), source)


@pytest.mark.parametrize("point", ["part begins", "copy begins", "tag is taken", "push finished"])
def test_a_worker_killed_over_rabbitmq(site: Site, name: str, point: str) -> None:
    site.arms.arm(point)
    request, source = scene(site, name, site.a.host)
    push_id = site.send(request)
    site.wait_for_harm()
    check(site, site.report(push_id), source)
    site.figures.add(pushes_recovered=1)


def test_rabbitmq_is_restarted_in_the_middle_of_a_push(site: Site, name: str, broker: RabbitMQ) -> None:
    slow = Delay("GET", "/blobs/", 0.4)
    with ExitStack() as running:
        proxy = running.enter_context(FaultyProxy(site.a.host, slow))
        request, source = scene(site, name, proxy.host)
        push_id = site.send(request)
        wait_until(lambda: slow.met > 2, "no copy is under way")
        broker.kill()
        time.sleep(1)
        broker.start()
        site.figures.add(rabbitmq_restarts=1)
        check(site, site.report(push_id), source)
    request, source = scene(site, f"{name}-after", site.a.host)
    check(site, site.report(site.send(request)), source)


def test_a_message_without_arguments_ends_no_worker_and_its_producer_is_told(site: Site, broker: RabbitMQ) -> None:
    task_id = str(uuid.uuid4())
    with Connection(broker.url) as connection:
        Producer(connection).publish(
            {"items": []},
            exchange="imagepusher",
            routing_key="imagepusher.push",
            headers={"task": "imagepusher.push.v1", "id": task_id},
        )
    wait_until(lambda: site.ended(task_id), "nobody told the producer")
    assert "its body is not" in json.dumps(site.result(task_id))
    assert len(site.fleet.alive) == 2
