"""Pushes that race for a tag, with each other and with someone else (BEHAVIOUR 7.1, 7.2)."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos.conftest import OpenSite
from tests.chaos.site import Site, item, small_index
from tests.support.faults import Chosen, Fault, Kind
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import Index
from tests.support.processes import wait_until
from tests.support.stored import Stored, upload

LEASE = 1.5
PAIRS, TAGS_OF_A_PAIR = 10, 20


@pytest.fixture(scope="module")
def watched_site(open_module_site: OpenSite) -> Site:
    return open_module_site({"IMAGEPUSHER_LOCK_SECONDS": str(LEASE)})


@pytest.fixture(scope="module")
def unwatched_site(open_module_site: OpenSite) -> Site:
    """Open a site where nobody drives on what stands still."""
    return open_module_site({"IMAGEPUSHER_LOCK_SECONDS": str(LEASE), "IMAGEPUSHER_STALL_SECONDS": "300"})


@pytest.fixture(params=["watched", "unwatched"])
def any_site(request: pytest.FixtureRequest) -> Iterator[Site]:
    yield from _fresh(request.getfixturevalue(f"{request.param}_site"))


@pytest.fixture
def site(watched_site: Site) -> Iterator[Site]:
    yield from _fresh(watched_site)


def _fresh(site: Site) -> Iterator[Site]:
    site.arms.clear()
    site.before.clear()
    site.fleet.start(2, "--concurrency", "1")
    yield site
    site.arms.clear()
    site.fleet.end()


def push_of(site: Site, name: str, source: Index, *tags: str, host: str = "") -> dict[str, Any]:
    reference = site.put_a(f"{name}/{source.digest[7:19]}", source)
    return {"items": [item(reference, {f"{host or site.b.host}/{name}/dst": tags})]}


def platforms(site: Site, name: str, tag: str) -> set[str]:
    _, _, content = Stored(site.b.host).manifest(f"{name}/dst", tag)
    return {entry["platform"]["architecture"] for entry in json.loads(content)["manifests"]}


def test_two_workers_that_want_a_tag_at_once_lose_nothing(site: Site, name: str) -> None:
    sources = [small_index(f"{name}-{architecture}", architecture) for architecture in ("amd64", "arm64")]
    for source in sources:
        upload(site.b.host, f"{name}/dst", source)
    site.arms.arm("tag is taken", "meet", times=1_000_000)
    for pair in range(PAIRS):
        tags = [f"p{pair}-{number}" for number in range(TAGS_OF_A_PAIR)]
        pushes = [site.send(push_of(site, name, source, *tags)) for source in sources]
        reports = [site.report(push_id) for push_id in pushes]
        assert {report["state"] for report in reports} == {"succeeded"}
        assert all(platforms(site, name, tag) == {"amd64", "arm64"} for tag in tags)
    met = [acted for acted in site.arms.acted() if acted.act == "meet"]
    # A push that stood still for long is driven on, and comes by once more.
    assert len(met) >= 2 * PAIRS * TAGS_OF_A_PAIR
    assert len({acted.pid for acted in met}) == 2
    site.figures.add(races_for_a_tag=PAIRS * TAGS_OF_A_PAIR)


@pytest.mark.parametrize("before", ["absent", "index"])
def test_someone_else_writes_between_look_and_write(site: Site, name: str, before: str) -> None:
    if before == "index":
        site.put_b(f"{name}/dst", small_index(f"{name}-old", "s390x"), "1")
    site.arms.arm("intent noted", "stop")
    push_id = site.send(push_of(site, name, small_index(name, "amd64"), "1"))
    worker = site.wait_for_harm()
    theirs = small_index(f"{name}-theirs", "ppc64le")
    site.before[f"{name}/dst:1"] = upload(site.b.host, f"{name}/dst", theirs, "1")
    worker.resume()
    report = site.report(push_id)
    assert platforms(site, name, "1") == {"amd64", "ppc64le"}
    assert report["items"][0]["tags"][0]["old_digest"] == theirs.digest
    site.judge(report)
    site.settle()
    site.figures.add(foreign_writes=1)


def test_someone_else_who_never_stops_writing_is_a_visible_conflict(site: Site, name: str) -> None:
    theirs = [small_index(f"{name}-theirs{number}", f"arch{number}") for number in range(12)]
    for index in theirs:
        upload(site.b.host, f"{name}/dst", index, "1")
    site.arms.arm("intent noted", "stop", times=5)
    push_id = site.send(push_of(site, name, small_index(name, "amd64"), "1"))
    for number in range(5):
        worker = site.wait_for_harm(number + 1)
        site.before[f"{name}/dst:1"] = upload(site.b.host, f"{name}/dst", theirs[number], "1")
        worker.resume()
    report = site.report(push_id)
    assert report["items"][0]["tags"][0]["error"]["code"] == "tag_conflict"
    site.judge(report)


def test_a_worker_that_lost_its_lock_does_not_write(any_site: Site, name: str) -> None:
    site = any_site
    site.put_b(f"{name}/dst", small_index(f"{name}-old", "s390x"), "1")
    site.arms.arm("intent noted", "stop")
    first = site.send(push_of(site, name, small_index(name, "amd64"), "1"))
    worker = site.wait_for_harm()
    second = site.report(site.send(push_of(site, name, small_index(f"{name}-two", "arm64"), "1")))
    worker.resume()
    assert (site.report(first)["state"], second["state"]) == ("succeeded", "succeeded")
    assert_quiet(site, name, {"amd64", "arm64", "s390x"})
    # One of whoever filled the tag, and one of each push; a watchdog may let another worker do a push's write too.
    count = len(writes(site, name))
    assert count == 3 or (count > 3 and "IMAGEPUSHER_STALL_SECONDS" not in site.settings)
    site.figures.add(locks_lost=1)


@pytest.mark.parametrize("before", [{"s390x"}, set()], ids=["a tag", "a new tag"])
def test_a_worker_that_stood_still_before_its_write_undoes_nothing(any_site: Site, name: str, before: set[str]) -> None:
    """Between the look at the lock and the write there is no fence: what was written over is merged again."""
    site = any_site
    if before:
        site.put_b(f"{name}/dst", small_index(f"{name}-old", *before), "1")
    site.arms.arm("manifest is put", "stop", match="('1'")
    first = site.send(push_of(site, name, small_index(name, "amd64"), "1"))
    worker = site.wait_for_harm()
    second = site.report(site.send(push_of(site, name, small_index(f"{name}-two", "arm64"), "1")))
    if "IMAGEPUSHER_STALL_SECONDS" not in site.settings:
        # The other worker takes the first push over, and ends it.
        site.report(first)
    written = len(writes(site, name))
    worker.resume()
    wait_until(lambda: len(writes(site, name)) > written, "the worker that stood still never wrote")
    # Whoever writes late holds no lock until it has seen that, so that a free lock does not mean the end yet.
    wait_until(lambda: len(writes(site, name)) >= written + 2, "what was written over was never merged again")
    assert (site.report(first)["state"], second["state"]) == ("succeeded", "succeeded")
    assert_quiet(site, name, {"amd64", "arm64", *before})
    site.figures.add(stale_writes=1)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Kind.REFUSED, "PUT", "/manifests/1$", times=6),
        # Planned, read under the lock, written, and read again: whether it was written cannot be told.
        Fault(Kind.REFUSED, "HEAD", "/manifests/1$", nth=3, times=6),
        Fault(Kind.DENIED, "PUT", "/manifests/1$", times=1),
    ],
    ids=["not written", "written and not verified", "written and not told"],
)
def test_a_registry_that_fails_while_a_tag_moves_is_tried_again_later(site: Site, name: str, fault: Fault) -> None:
    """A report is true to what the tag holds, whatever the registry answered when it was written."""
    source = small_index(name, "amd64")
    with FaultyProxy(site.b.host, Chosen(fault)) as proxy:
        report = site.report(site.send(push_of(site, name, source, "1", host=proxy.host)))
        assert len(proxy.injected) == fault.times
    (tag,) = report["items"][0]["tags"]
    assert (tag["action"], tag["old_digest"], tag["new_digest"]) == ("copied", None, source.digest)
    site.judge(report)
    assert len(writes(site, name)) == 1
    site.settle()


def writes(site: Site, name: str) -> list[str]:
    """Return the writes of the tag 1."""
    return [
        logged.path
        for logged in site.b.requests()
        if logged.method == "PUT" and logged.path == f"/v2/{name}/dst/manifests/1"
    ]


def assert_quiet(site: Site, name: str, expected: set[str]) -> None:
    """Wait until no tag is held any more, and check what the tag holds then, and holds on to."""
    wait_until(lambda: not [each for each in site.left() if "imagepusher:tag" in each], "a tag is held for ever")
    assert platforms(site, name, "1") == expected
    Stored(site.b.host).holds(f"{name}/dst", "1")
