"""Workers told to end with SIGTERM in the middle of their work (BEHAVIOUR 7.4)."""

import re

import pytest

from tests.chaos.conftest import SETTINGS, OpenSite
from tests.chaos.site import Delay, Site, item, small_index
from tests.support.chaos import LAST_MOMENTS
from tests.support.faults import Chosen, Fault, Kind
from tests.support.faulty_proxy import FaultyProxy
from tests.support.processes import START_DEADLINE, wait_until
from tests.support.workers import Worker

GRACE = 1.5


@pytest.fixture(scope="module")
def patient_site(open_module_site: OpenSite, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Open a site that waits for silent registries longer than any test lasts."""
    path = tmp_path_factory.mktemp("patient") / "settings.toml"
    path.write_text(SETTINGS.replace("idle_timeout = 5", "idle_timeout = 3600"))
    return open_module_site({"IMAGEPUSHER_CONFIG": str(path), "IMAGEPUSHER_GRACE_SECONDS": str(GRACE)})


@pytest.fixture(scope="module")
def unwatched_site(open_module_site: OpenSite) -> Site:
    """Open a site whose watchdog comes far too late: only what tasks gave back in order is done in time."""
    settings = {"IMAGEPUSHER_STALL_SECONDS": "300", "IMAGEPUSHER_GRACE_SECONDS": str(GRACE)}
    return open_module_site(settings | {LAST_MOMENTS: "100"})


def stop(site: Site, worker: Worker) -> None:
    """Tell a worker to end, let another one take over, and see the first one end in order."""
    worker.process.terminate()
    site.fleet.start()
    assert worker.process.wait(START_DEADLINE) == 0
    site.figures.add(workers_stopped=1)


def test_running_copies_end_or_go_back_to_the_queue(unwatched_site: Site, name: str) -> None:
    site = unwatched_site
    (worker,) = site.fleet.start()
    source = small_index(name, *(f"a{number}" for number in range(6)), layers=6)
    slow = Delay("GET", "/blobs/", 0.25)
    with FaultyProxy(site.a.host, slow) as proxy:
        site.put_a(f"{name}/src", source)
        push_id = site.send({"items": [item(f"{proxy.host}/{name}/src:1", {f"{site.b.host}/{name}/dst": ["1"]})]})
        wait_until(lambda: slow.met >= 3, "no copy is under way")
        stop(site, worker)
        report = site.report(push_id)
    assert report["items"][0]["tags"][0]["new_digest"] == source.digest
    site.judge(report)
    site.fleet.end()


@pytest.mark.parametrize("kind", [Kind.STALL_ANSWER, Kind.STALL_REQUEST])
def test_a_registry_that_is_silent_does_not_hold_up_the_end(patient_site: Site, name: str, kind: Kind) -> None:
    site = patient_site
    (worker,) = site.fleet.start()
    source = small_index(name, "amd64", size=3_000_000)
    silent = Chosen(Fault(kind, "GET" if kind is Kind.STALL_ANSWER else "PUT", "/blobs/", at=0.5))
    with FaultyProxy(site.a.host, silent) as at_a, FaultyProxy(site.b.host, silent) as at_b:
        site.put_a(f"{name}/src", source)
        push_id = site.send({"items": [item(f"{at_a.host}/{name}/src:1", {f"{at_b.host}/{name}/dst": ["1"]})]})
        wait_until(lambda: bool(at_a.injected or at_b.injected), "no blob is under way")
        stop(site, worker)
        report = site.report(push_id)
    assert report["state"] == "succeeded"
    site.settle()
    site.fleet.end()


def test_tags_that_are_being_moved_are_moved_once(unwatched_site: Site, name: str) -> None:
    site = unwatched_site
    (worker,) = site.fleet.start()
    source = small_index(name, "amd64", "arm64")
    tags = [f"t{number}" for number in range(40)]
    for tag in tags:
        site.put_b(f"{name}/dst", small_index(f"{name}-old", "s390x"), tag)
    slow = Delay("PUT", "/manifests/t", 0.3)
    written = len(moves(site, name))
    with FaultyProxy(site.b.host, slow) as proxy:
        reference = site.put_a(f"{name}/src", source)
        push_id = site.send({"items": [item(reference, {f"{proxy.host}/{name}/dst": tags})]})
        wait_until(lambda: slow.met >= 12, "no tag is being moved")
        stop(site, worker)
        report = site.report(push_id)
        told = {tag["reference"].rpartition(":")[2]: tag for tag in report["items"][0]["tags"]}
    assert {tag["action"] for tag in told.values()} == {"merged"}
    assert {tag["old_digest"] for tag in told.values()} == set(site.before.values())
    assert sorted(site.tags()) == sorted(
        f"{name}/dst:{tag}" for each in told for tag in (each, told[each]["protective_tag"])
    )
    assert sorted(moves(site, name)[written:]) == sorted(f"/v2/{name}/dst/manifests/{tag}" for tag in tags)
    site.fleet.end()


def moves(site: Site, name: str) -> list[str]:
    """Return the paths of all writes of tags of a test, but for protective ones."""
    written = [logged.path for logged in site.b.requests() if logged.method == "PUT"]
    return [path for path in written if re.fullmatch(rf"/v2/{name}/dst/manifests/t\d+", path)]
