"""Every task delivered twice, and at once (BEHAVIOUR 7.3)."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import pytest

from tests.chaos.conftest import OpenSite
from tests.chaos.site import PREFIX, QUEUES, Delay, Site, item, small_index
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import Image, Index
from tests.support.processes import wait_until
from tests.support.stored import Stored


@pytest.fixture(scope="module")
def shared_site(open_module_site: OpenSite) -> Site:
    """Open a site where no watchdog adds messages to those of a test, which wait while workers start."""
    return open_module_site({"IMAGEPUSHER_STALL_SECONDS": "300"})


@pytest.fixture(scope="module")
def watched_site(open_module_site: OpenSite) -> Site:
    return open_module_site({"IMAGEPUSHER_STALL_SECONDS": "20"})


@pytest.fixture
def watched(watched_site: Site) -> Iterator[Site]:
    """Run two workers whose watchdog soon sees that a push has ended, and takes none for stalled."""
    watched_site.fleet.start(2)
    yield watched_site
    watched_site.fleet.end()


def scene(site: Site, name: str, host: str = "") -> tuple[dict[str, Any], Index]:
    source = small_index(name, "amd64", "arm64", layers=2)
    site.put_a(f"{name}/src", source)
    site.put_b(f"{name}/dst", small_index(f"{name}-old", "ppc64le"), "merged")
    destinations = {f"{site.b.host}/{name}/dst": ["merged", "new"]}
    return {"items": [item(f"{host or site.a.host}/{name}/src:1", destinations)]}, source


def writes(site: Site, name: str) -> Counter[str]:
    """Return what was written into the repository of a test: manifests by their reference, and commits of blobs."""
    found: Counter[str] = Counter()
    for logged in site.b.requests():
        if logged.method == "PUT" and logged.path.startswith(f"/v2/{name}/dst/"):
            kind, reference = logged.path.split("/")[-2:]
            found[reference if kind == "manifests" else f"blob {logged.query.partition('digest=')[2]}"] += 1
    return found


def twins(site: Site, queue: str) -> int:
    """Put a second copy of each message that waits in a queue beside it, under a tag of its own; return how many."""
    added = 0
    for priority in ("", *(f"\x06\x16{number}" for number in (3, 6, 9))):
        key = f"{PREFIX}{queue}{priority}"
        for found in cast("list[bytes]", site.results.lrange(key, 0, -1)):
            message = json.loads(found)
            message["properties"]["delivery_tag"] += "-twin"
            site.results.lpush(key, json.dumps(message))
            added += 1
    return added


def serve(site: Site, queue: str) -> None:
    """Let two workers do all that one queue holds, and end; what they gave back as they ended is done by the next."""

    def is_done() -> bool:
        # What is taken is done too: a worker that is told to end gives back what it has not done within its grace time.
        return not any(
            left.startswith(queue) or left.endswith(" taken") or f"{PREFIX}run:" in left for left in site.left()
        )

    while not is_done():
        workers = site.fleet.start(2, "--queues", queue.rpartition(".")[2], "--concurrency", "2")
        wait_until(is_done, f"{queue} is never done")
        for worker in workers:
            assert worker.stop() == 0


def test_every_task_is_delivered_twice(site: Site, name: str) -> None:
    """Workers that serve one queue at a time let each message, and its twin, be there before either is taken."""
    site.fleet.end()
    request, source = scene(site, name)
    before = writes(site, name)
    push_id = site.send(request)
    added = 0
    for queue in QUEUES:
        added += twins(site, queue)
        serve(site, queue)
    assert added == 2 + len(source.members)
    site.figures.add(tasks_delivered_twice=added)
    report = site.report(push_id)
    assert [tag["action"] for tag in report["items"][0]["tags"]] == ["merged", "copied"]
    kept = cast("bytes", site.results.hget(f"{PREFIX}push:{push_id}", "report"))
    assert json.loads(kept)["totals"] == report["totals"], "a second report replaced the first"
    site.judge(report)
    protective = report["items"][0]["tags"][0]["protective_tag"]
    assert Stored(site.b.host).tags(f"{name}/dst") == sorted(["merged", "new", protective])
    again = writes(site, name) - before
    assert set(again.values()) == {1}, again
    blobs = [content for member in source.members if isinstance(member, Image) for content in member.blobs.values()]
    assert len([what for what in again if what.startswith("blob")]) == len(blobs)
    assert report["totals"]["bytes_copied"] == sum(map(len, blobs))


def test_two_deliveries_at_once_do_the_work_of_one(watched: Site, name: str) -> None:
    """A copy that is under way is not begun again: its twin waits, and finds it done."""
    site = watched
    slow = Delay("GET", "/blobs/", 0.3)
    with FaultyProxy(site.a.host, slow) as proxy:
        request, _ = scene(site, name, proxy.host)
        before = writes(site, name)
        push_id = site.send(request)
        wait_until(lambda: slow.met > 0, "no copy is under way")
        tags = cast("dict[bytes, bytes]", site.results.hgetall(f"{PREFIX}unacked"))
        for content in tags.values():
            message, _, queue = json.loads(content)
            message["properties"]["delivery_tag"] += "-twin"
            site.results.lpush(f"{PREFIX}{queue}", json.dumps(message))
        site.figures.add(tasks_delivered_twice=len(tags))
        report = site.report(push_id)
    site.judge(report)
    site.settle()
    assert set((writes(site, name) - before).values()) == {1}
    gets = [
        logged.path for logged in site.a.requests() if logged.method == "GET" and f"/{name}/src/blobs/" in logged.path
    ]
    assert len(gets) == len(set(gets))


def test_a_push_that_is_sent_twice_has_one_report(watched: Site, name: str) -> None:
    site = watched
    request, _ = scene(site, name)
    before = writes(site, name)
    for _ in range(3):
        site.send(request, f"{name}-push")
    report = site.report(f"{name}-push")
    site.settle()
    assert site.report(f"{name}-push") == report
    site.judge(report)
    assert set((writes(site, name) - before).values()) == {1}
