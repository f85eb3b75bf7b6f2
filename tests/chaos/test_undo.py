"""Pushes taken back: ended, half-finished, and under way (BEHAVIOUR 6.6)."""

import json
from typing import Any

import pytest

from tests.chaos.conftest import OpenSite
from tests.chaos.site import Delay, Site, item, small_index
from tests.support.faulty_proxy import FaultyProxy
from tests.support.processes import wait_until
from tests.support.stored import Stored, upload


@pytest.fixture(scope="module")
def unwatched_site(open_module_site: OpenSite) -> Site:
    """Open a site where a push that a killed worker left stays half-finished."""
    return open_module_site({"IMAGEPUSHER_STALL_SECONDS": "300"})


def scene(site: Site, name: str, host: str = "") -> dict[str, Any]:
    """Prepare a push to tags that are merged, overwritten and new, in two repositories."""
    reference = site.put_a(f"{name}/src", small_index(name, "amd64", "arm64"))
    host = host or site.b.host
    for tag in ("merged-1", "merged-2"):
        site.put_b(f"{name}/dst", small_index(f"{name}-{tag}", "ppc64le"), tag)
    site.put_b(f"{name}/dst", small_index(f"{name}-old", "amd64"), "old")
    site.put_b(f"{name}/other", small_index(f"{name}-other", "s390x"), "kept")
    destinations = {
        f"{host}/{name}/dst": ["merged-1", "merged-2", "old", "new"],
        f"{host}/{name}/other": ["new", "also-new"],
    }
    return {"items": [item(reference, destinations)]}


def undo(site: Site, push_id: str) -> tuple[int, dict[str, Any]]:
    with site.cli("undo", push_id, "--yes", "--output", "json") as program:
        answer, errors = program.communicate(timeout=300)
    assert b"Traceback" not in errors
    site.figures.add(undone_pushes=1)
    return program.returncode, json.loads(answer)


def test_a_push_that_ended_is_taken_back_to_the_digest(site: Site, name: str) -> None:
    site.fleet.replace(2)
    push_id = site.send(scene(site, name))
    site.judge(site.report(push_id))
    assert site.tags() != site.before
    assert undo(site, push_id)[0] == 0
    assert site.tags() == site.before
    assert undo(site, push_id)[0] == 0
    assert site.tags() == site.before
    site.settle()


@pytest.mark.parametrize(
    ("point", "match", "nth"),
    [
        ("copy begins", "", 1),
        ("intent noted", "", 2),
        ("manifest put", "merged-1.merged-", 1),
        ("manifest put", "('merged-1'", 1),
        ("manifest put", "('new'", 1),
        ("tag recorded", "", 4),
        ("push finished", "", 1),
    ],
)
def test_a_push_whose_worker_was_killed_is_taken_back(
    unwatched_site: Site, shared_site: Site, name: str, point: str, match: str, nth: int
) -> None:
    site = unwatched_site
    # Both sites are on one Redis.
    shared_site.fleet.end()
    site.before.clear()
    site.arms.clear()
    (worker,) = site.fleet.start(1)
    request = scene(site, name)
    site.arms.arm(point, match=match, nth=nth)
    push_id = site.send(request)
    assert site.wait_for_harm() is worker
    site.arms.clear()
    site.fleet.start(1)
    assert undo(site, push_id)[0] == 0
    assert site.tags() == site.before
    site.fleet.end()
    site.results.flushall()
    site.figures.add(half_finished_pushes_undone=1)


def test_a_tag_that_someone_else_has_moved_is_left_alone(site: Site, name: str) -> None:
    site.fleet.replace(2)
    push_id = site.send(scene(site, name))
    site.judge(site.report(push_id))
    kept = {tag: digest for tag, digest in site.tags().items() if tag.startswith(f"{name}/dst:merged-1.merged-")}
    theirs = upload(site.b.host, f"{name}/dst", small_index(f"{name}-theirs", "riscv64"), "merged-1")
    site.before[f"{name}/dst:merged-1"] = theirs
    status, told = undo(site, push_id)
    assert status == 1
    actions = {tag["reference"].rpartition("/")[2]: tag["action"] for tag in told["tags"]}
    assert actions["dst:merged-1"] == "moved"
    assert set(actions.values()) == {"moved", "restored", "deleted"}
    assert Stored(site.b.host).digest(f"{name}/dst", "merged-1") == theirs
    # Whoever moved the tag may want to put back what the push made of it.
    assert len(kept) == 1
    site.before |= kept
    assert site.tags() == site.before
    site.settle()


@pytest.mark.parametrize("moved", [0, 1, 3])
def test_no_tag_moves_after_a_push_under_way_is_taken_back(site: Site, name: str, moved: int) -> None:
    site.fleet.replace(2)
    slow = Delay("PUT", "/manifests/", 0.15)
    with FaultyProxy(site.b.host, slow) as proxy:
        request = scene(site, name, proxy.host)
        push_id = site.send(request)
        # Two manifests come before the tags, in two repositories.
        wait_until(lambda: slow.met > 3 + moved, "no tag is being moved")
        assert undo(site, push_id)[0] == 0
        report = site.report(push_id)
        codes = {tag["error"] and tag["error"]["code"] for part in report["items"] for tag in part["tags"]}
        assert codes <= {None, "undone"}
        assert site.tags() == site.before
    site.settle()
    assert site.tags() == site.before


def test_the_protective_tag_of_a_merge_that_was_overtaken_is_taken_back_too(
    unwatched_site: Site, shared_site: Site, name: str
) -> None:
    """A push that stands still between the protective tag and its own merges again, with what came between."""
    site = unwatched_site
    shared_site.fleet.end()
    site.before.clear()
    site.arms.clear()
    site.fleet.start(2, "--concurrency", "1")
    site.put_b(f"{name}/dst", small_index(f"{name}-old", "ppc64le"), "1")
    sources = [site.put_a(f"{name}/src", small_index(f"{name}-{arch}", arch), arch) for arch in ("amd64", "arm64")]
    first, second = ({"items": [item(source, {f"{site.b.host}/{name}/dst": ["1"]})]} for source in sources)
    site.arms.arm("manifest put", "stop", match=".merged-")
    push_id = site.send(first)
    worker = site.wait_for_harm()
    site.judge(site.report(site.send(second)))
    # What the first push finds is what the second one left, and its own protective tag.
    site.before |= site.tags()
    worker.resume()
    report = site.report(push_id)
    site.judge(report)
    assert undo(site, push_id)[0] == 0
    left = site.tags()
    assert left.items() <= site.before.items()
    assert len(site.before) - len(left) == 1
    assert report["items"][0]["tags"][0]["action"] == "merged"
    site.fleet.end()
    site.results.flushall()
