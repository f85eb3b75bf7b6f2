"""What ends its worker each time ends as failed, and takes nothing else along (BEHAVIOUR 6.4)."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos.conftest import OpenSite
from tests.chaos.site import Report, Site, item, small_index
from tests.support.processes import wait_until

TRIES = 3


@pytest.fixture(scope="module")
def frail_site(open_module_site: OpenSite) -> Site:
    return open_module_site({"IMAGEPUSHER_TASK_TRIES": str(TRIES), "IMAGEPUSHER_STALL_SECONDS": "0.8"})


@pytest.fixture
def site(frail_site: Site) -> Iterator[Site]:
    frail_site.arms.clear()
    frail_site.before.clear()
    yield frail_site
    frail_site.arms.clear()


def endure(site: Site, push_id: str) -> tuple[Report, int]:
    """Start a worker for each one that dies until the push ends; return its report, and how many died."""
    died = len(site.fleet.workers)

    def over() -> bool:
        site.fleet.replace(1)
        return site.ended(push_id)

    site.fleet.replace(1)
    wait_until(over, f"{push_id} goes on for ever", 200)
    report = site.report(push_id)
    site.arms.clear()
    site.judge(report)
    died = len(site.fleet.workers) - max(died, 1)
    site.figures.add(workers_killed=died, poisonings=1)
    return report, died


def by_tag(report: Report) -> dict[str, dict[str, Any]]:
    return {tag["reference"].rpartition(":")[2]: tag for part in report["items"] for tag in part["tags"]}


def test_a_copy_that_kills_its_worker_fails_what_needs_it_and_nothing_else(site: Site, name: str) -> None:
    sound = small_index(name, *(f"sound{number}" for number in range(8)))
    broken = small_index(f"{name}-poison", "amd64")
    repository = f"{site.b.host}/{name}/dst"
    request = {
        "items": [
            item(site.put_a(f"{name}/sound", sound), {repository: ["sound"]}),
            item(site.put_a(f"{name}/broken", broken), {repository: ["broken"]}),
        ]
    }
    site.arms.arm("copy begins", match=broken.members[0].digest, times=1000)
    report, died = endure(site, site.send(request))
    assert report["state"] == "partial"
    assert by_tag(report)["broken"]["error"]["code"] == "abandoned"
    assert by_tag(report)["sound"]["new_digest"] == sound.digest
    assert died == TRIES
    site.settle()


def test_a_tag_that_kills_its_worker_fails_alone(site: Site, name: str) -> None:
    source = small_index(name, "amd64")
    tags = [f"t{number}" for number in range(12)]
    request = {"items": [item(site.put_a(f"{name}/src", source), {f"{site.b.host}/{name}/dst": tags})]}
    site.arms.arm("tag is taken", match=":t3'", times=1000)
    report, died = endure(site, site.send(request))
    codes = {tag: told["error"] and told["error"]["code"] for tag, told in by_tag(report).items()}
    assert codes == dict.fromkeys(tags) | {"t3": "abandoned"}
    assert died == TRIES
    site.settle()


def test_a_release_that_kills_its_worker_half_way_is_put_back(site: Site, name: str) -> None:
    """Rule 10.1."""
    source, tags = small_index(name, "amd64"), [f"t{number}" for number in range(6)]
    for tag in tags[1:]:
        site.put_b(f"{name}/dst", small_index(f"{name}-old", "ppc64le"), tag)
    request = {"items": [item(site.put_a(f"{name}/src", source), {f"{site.b.host}/{name}/dst": tags}, merge=False)]}
    # Before the first tag the manifest is written once for each of them, under its digest.
    site.arms.arm("manifest put", match=f"', {source.manifest!r}", nth=len(tags) + 3, times=TRIES)
    report, died = endure(site, site.send(request | {"atomic": "push"}))
    assert site.tags() == site.before
    codes = {tag: (told["action"], told["error"]["code"]) for tag, told in by_tag(report).items()}
    assert codes == dict.fromkeys(tags, ("failed", "abandoned"))
    # Several threads of one worker may be at such a place at once.
    assert 0 < died <= TRIES
    site.settle()


def test_planning_that_kills_its_worker_ends_the_push_with_a_report(site: Site, name: str) -> None:
    source = small_index(name, "amd64")
    request = {"items": [item(site.put_a(f"{name}/src", source), {f"{site.b.host}/{name}/dst": ["1"]})]}
    site.arms.arm("plan is saved", times=1000)
    report, died = endure(site, site.send(request))
    assert (report["state"], by_tag(report)["1"]["error"]["code"]) == ("failed", "abandoned")
    assert died == TRIES
    site.settle()


def test_what_kills_its_worker_after_all_tags_ends_the_push_visibly(site: Site, name: str) -> None:
    source = small_index(name, "amd64")
    request = {"items": [item(site.put_a(f"{name}/src", source), {f"{site.b.host}/{name}/dst": ["1"]})]}
    site.arms.arm("report is built", match="PushReport", times=3)
    report, died = endure(site, site.send(request))
    assert report["state"] == "succeeded"
    assert died == 3
    site.settle()
