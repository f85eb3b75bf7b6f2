"""Workers killed with SIGKILL, in every window of a push and at random (BEHAVIOUR 7.4)."""

import json
import random
import time
from typing import Any

import pytest

from tests.chaos.site import Site, item, small_index
from tests.support.faults import Chosen, Fault, Kind
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import Index
from tests.support.processes import wait_until
from tests.support.stored import Stored

ARCHITECTURES = ("amd64", "arm64", "s390x")


def scene(site: Site, name: str) -> tuple[dict[str, Any], Index]:
    """Prepare an index of three platforms that goes to a new tag and into an index of another platform."""
    source = small_index(name, *ARCHITECTURES)
    reference = site.put_a(f"{name}/src", source)
    site.put_b(f"{name}/dst", small_index(f"{name}-old", "ppc64le"), "merged")
    destinations = {f"{site.b.host}/{name}/dst": ["merged", "new"], f"{site.b.host}/{name}/other": ["1"]}
    return {"items": [item(reference, destinations)]}, source


WINDOWS: dict[str, tuple[str, dict[str, Any]]] = {
    "before the push is accepted": ("part begins", {"match": "'push'"}),
    "after the push is accepted": ("push accepted", {}),
    "after the plan is saved": ("plan saved", {}),
    "before the chord is sent": ("push marked as sent", {}),
    "in the middle of sending the chord": ("message is sent", {"match": "imagepusher.copy.v1", "nth": 2}),
    "before a copy": ("copy begins", {"nth": 2}),
    "between a copy and its count": ("outcome recorded", {"nth": 3}),
    "between the last count and the callback": ("callback is sent", {}),
    "after the callback was sent": ("callback sent", {}),
    "before a tag is taken": ("tag is taken", {"nth": 2}),
    "after a protective tag": ("manifest put", {"match": "merged.merged-"}),
    "after an intent": ("intent noted", {"nth": 2}),
    "after a tag is put": ("manifest put", {"match": "('merged'"}),
    "after a new tag is put": ("manifest put", {"match": "('new'"}),
    "after a tag is recorded": ("tag recorded", {"nth": 2}),
    "before the report is kept": ("report is built", {}),
    "after the report, before the result": ("push finished", {}),
    "after the result, before it is acknowledged": ("result stored", {"match": "SUCCESS"}),
}


@pytest.mark.parametrize("window", WINDOWS)
def test_a_push_completes_whatever_the_window_in_which_its_worker_is_killed(site: Site, name: str, window: str) -> None:
    site.fleet.replace(2)
    request, source = scene(site, name)
    point, how = WINDOWS[window]
    site.arms.arm(point, **how)
    push_id = site.send(request)
    site.wait_for_harm()
    report = site.report(push_id)
    assert [tag["action"] for tag in report["items"][0]["tags"]] == ["merged", "copied", "copied"]
    assert report["items"][0]["tags"][1]["new_digest"] == source.digest
    site.judge(report)
    site.settle()
    site.figures.add(pushes_recovered=1)


def test_a_message_that_its_worker_took_to_the_grave_is_sent_again(site: Site, name: str) -> None:
    """kombu notes what it took from Redis only after it took it: of what is lost between, only the ledger knows."""
    site.fleet.replace(2)
    request, _ = scene(site, name)
    site.arms.arm("message taken", match="imagepusher.push")
    with site.cli("push", "-", "--output", "json") as program:
        answer, errors = program.communicate(json.dumps(request).encode(), timeout=300)
    assert program.returncode == 0, errors.decode()
    site.wait_for_harm()
    site.judge(json.loads(answer))
    site.settle()
    site.figures.add(pushes_recovered=1)


def test_an_undo_whose_worker_is_killed_is_done_by_another(site: Site, name: str) -> None:
    site.fleet.replace(2)
    request, _ = scene(site, name)
    push_id = site.send(request)
    site.judge(site.report(push_id))
    site.arms.arm("tag is taken")
    with site.cli("undo", push_id, "--yes", "--output", "json") as program:
        answer, errors = program.communicate(timeout=300)
    assert program.returncode == 0, errors.decode()
    site.wait_for_harm()
    assert {tag["action"] for tag in json.loads(answer)["tags"]} == {"restored", "deleted"}
    assert site.tags() == site.before
    site.settle()


@pytest.mark.parametrize(("kind", "method"), [(Kind.STALL_ANSWER, "GET"), (Kind.STALL_REQUEST, "PUT")])
def test_a_worker_killed_in_the_middle_of_a_blob(site: Site, name: str, kind: Kind, method: str) -> None:
    site.fleet.replace(1)
    source = small_index(name, "amd64", size=3_000_000)
    site.put_a(f"{name}/src", source)
    halfway = Chosen(Fault(kind, method, "/blobs/", at=0.5))
    with FaultyProxy(site.a.host, halfway) as at_a, FaultyProxy(site.b.host, halfway) as at_b:
        request = {"items": [item(f"{at_a.host}/{name}/src:1", {f"{at_b.host}/{name}/dst": ["1"]})]}
        push_id = site.send(request)
        wait_until(lambda: bool(at_a.injected or at_b.injected), "no blob is under way")
        for worker in site.fleet.alive:
            worker.kill()
            site.figures.add(workers_killed=1)
        site.fleet.replace(1)
        report = site.report(push_id)
    assert report["items"][0]["tags"][0]["new_digest"] == source.digest
    Stored(site.b.host).holds(f"{name}/dst", "1")
    site.settle()
    site.figures.add(pushes_recovered=1)


@pytest.mark.parametrize("seed", range(6))
def test_workers_killed_at_random(site: Site, name: str, seed: int) -> None:
    """Kill one worker, or both, at moments that the seed draws."""
    drawn = random.Random(seed)
    site.fleet.replace(2)
    request, source = scene(site, name)
    push_id = site.send(request)
    for _ in range(drawn.randint(1, 2)):
        time.sleep(drawn.uniform(0, 0.4))
        victims = drawn.sample(site.fleet.alive, drawn.randint(1, 2))
        for worker in victims:
            worker.kill()
        site.figures.add(workers_killed=len(victims))
        site.fleet.replace(2)
    report = site.report(push_id)
    assert [tag["action"] for tag in report["items"][0]["tags"]] == ["merged", "copied", "copied"]
    assert report["items"][0]["tags"][1]["new_digest"] == source.digest
    site.judge(report)
    site.settle()
    site.figures.add(pushes_recovered=1)


@pytest.mark.parametrize("lost", ["imagepusher.push", "imagepusher.copy", "imagepusher.publish"])
def test_a_message_that_any_producer_sent_and_kombu_lost(site: Site, name: str, lost: str) -> None:
    site.fleet.replace(2)
    request, _ = scene(site, name)
    site.arms.arm("message taken", match=lost)
    push_id = site.send(request)
    site.wait_for_harm()
    site.judge(site.report(push_id))
    site.settle()
    site.figures.add(pushes_recovered=1)
