"""One push id, sent by several tasks: each gets its answer (BEHAVIOUR 7.3, 7.5)."""

from typing import Any

import pytest

from tests.chaos.site import QUEUES, Delay, Site, item, small_index
from tests.support.faulty_proxy import FaultyProxy
from tests.support.processes import wait_until
from tests.support.stored import Stored


@pytest.fixture(autouse=True)
def _workers(site: Site) -> None:
    site.fleet.replace(2)


def request_of(site: Site, name: str, *, host: str = "", to: str = "dst") -> dict[str, Any]:
    items = [item(f"{host or site.a.host}/{name}/src:1", {f"{site.b.host}/{name}/{to}": ["1"]})]
    return {"push_id": name, "items": items}


def ended(site: Site, task_id: str) -> str:
    wait_until(lambda: site.ended(task_id), f"{task_id} never got a result")
    found = site.result(task_id)
    assert found is not None
    return str(found["status"])


def test_every_task_that_sent_a_push_has_its_report(site: Site, name: str) -> None:
    site.put_a(f"{name}/src", small_index(name, "amd64", "arm64", size=100_000, layers=2))
    tasks = [site.send(request_of(site, name), f"{name}-{number}") for number in range(4)]
    assert [ended(site, task) for task in tasks] == ["SUCCESS"] * 4
    reports = [site.result(task) for task in tasks]
    assert {report["result"]["push_id"] for report in reports if report is not None} == {name}
    site.settle()


def test_another_request_under_the_id_of_a_push_that_is_under_way_is_refused(site: Site, name: str) -> None:
    source = small_index(name, "amd64", layers=2)
    site.put_a(f"{name}/src", source)
    delay = Delay("GET", "/blobs/", 1.0)
    with FaultyProxy(site.a.host, delay) as slow:
        first = site.send(request_of(site, name, host=slow.host), f"{name}-first")
        wait_until(lambda: delay.met > 0, "the first push copied nothing")
        other = site.send(request_of(site, name, to="elsewhere"), f"{name}-other")
        assert (ended(site, other), ended(site, first)) == ("FAILURE", "SUCCESS")
        # The ledger still has the first one's request.
        assert ended(site, site.send(request_of(site, name, host=slow.host), f"{name}-again")) == "SUCCESS"
    assert "belongs to another request" in str(site.result(other))
    assert Stored(site.b.host).digest(f"{name}/elsewhere", "1") is None
    assert Stored(site.b.host).digest(f"{name}/dst", "1") == source.digest


def test_a_failed_push_that_is_sent_again_and_lost_is_done_nevertheless(site: Site, name: str) -> None:
    """Rule 7.4: its worker is killed as it takes the message."""
    assert ended(site, site.send(request_of(site, name), f"{name}-first")) == "FAILURE"
    source = small_index(name, "amd64")
    site.put_a(f"{name}/src", source)
    site.arms.arm("message taken", match=QUEUES[0])
    again = site.send(request_of(site, name), f"{name}-again")
    site.wait_for_harm()
    site.fleet.replace(2)
    assert ended(site, again) == "SUCCESS"
    assert Stored(site.b.host).digest(f"{name}/dst", "1") == source.digest
    site.settle()
