"""Many pushes on three workers, while workers are killed, Redis is restarted, and both registries fail."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.chaos.conftest import MakeSite
from tests.chaos.site import Report, Site, item, small_index
from tests.support.faults import Kind, Mixture
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import Index
from tests.support.redis_server import RedisServer
from tests.support.stored import Stored

PUSHES, WORKERS = 50, 3
# Content that is wrong is not asked for again, and a stall takes the idle timeout: neither says more here.
KINDS = frozenset(Kind) - {
    Kind.TRUNCATED,
    Kind.GROWN,
    Kind.FLIPPED,
    Kind.FLIPPED_REQUEST,
    Kind.STALL_ANSWER,
    Kind.STALL_REQUEST,
}
SHARED = 4


@dataclass
class Storm:
    """Pushes of one image each: to a tag of its own, into a tag with another platform, and into one that all share."""

    site: Site
    name: str
    drawn: random.Random
    host_a: str
    host_b: str
    sources: dict[str, Index] = field(default_factory=dict)

    def send(self, number: int) -> None:
        source = small_index(f"{self.name}-{number}", f"arch{number}", layers=self.drawn.randint(1, 2))
        self.site.put_a(f"{self.name}/src", source, f"n{number}")
        self.site.put_b(f"{self.name}/own", small_index(f"{self.name}-{number}-old", "ppc64le"), f"merged{number}")
        destinations = {
            f"{self.host_b}/{self.name}/own": [f"new{number}", f"merged{number}"],
            f"{self.host_b}/{self.name}/shared": [f"shared{number % SHARED}"],
        }
        request = {"items": [item(f"{self.host_a}/{self.name}/src:n{number}", destinations)]}
        self.sources[self.site.send(request)] = source

    def harm(self, server: RedisServer) -> None:
        """Kill a worker, or two, or Redis, and start what is missing."""
        if self.drawn.random() < 0.2:
            server.kill()
            time.sleep(self.drawn.uniform(0.1, 1.5))
            server.restart()
            self.site.figures.add(redis_restarts=1)
            return
        victims = self.drawn.sample(self.site.fleet.alive, self.drawn.choice((1, 1, 2)))
        for worker in victims:
            worker.kill()
        self.site.figures.add(workers_killed=len(victims))
        self.site.fleet.replace(WORKERS)


@pytest.fixture
def running() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1])
def test_fifty_pushes_in_a_storm(make_site: MakeSite, running: ExitStack, name: str, seed: int) -> None:
    drawn = random.Random(seed)
    server = running.enter_context(RedisServer(appendonly=True))
    site = make_site(server, {})
    running.callback(site.fleet.end)
    proxies = [
        running.enter_context(FaultyProxy(registry.host, Mixture(seed + place, 0.03, KINDS)))
        for place, registry in enumerate((site.a, site.b))
    ]
    storm = Storm(site, name, drawn, proxies[0].host, proxies[1].host)
    site.fleet.start(WORKERS)
    for number in range(PUSHES):
        storm.send(number)
        time.sleep(drawn.uniform(0, 0.1))
        if drawn.random() < 0.25:
            storm.harm(server)
    reports = {push_id: site.report(push_id, 250) for push_id in storm.sources}
    site.settle()
    site.figures.add(
        pushes_in_a_storm=PUSHES,
        pushes_succeeded_in_it=sum(report["state"] == "succeeded" for report in reports.values()),
        faults_of_registries=sum(len(proxy.injected) for proxy in proxies),
    )
    judge(storm, reports)


def judge(storm: Storm, reports: dict[str, Report]) -> None:
    """Check every report against what B holds, and that nothing else is there."""
    site, name = storm.site, storm.name
    expected = dict(site.before)
    protective: dict[str, str] = {}
    written: dict[str, set[str]] = {f"{name}/shared:shared{number}": set() for number in range(SHARED)}
    platforms: dict[str, set[str]] = {place: set() for place in written}
    for push_id, report in reports.items():
        assert report["push_id"] == push_id
        for tag in report["items"][0]["tags"]:
            place = tag["reference"].partition("/")[2]
            if tag["action"] in {"failed", "skipped"}:
                assert tag["error"], tag
                continue
            if tag["protective_tag"]:
                protective[f"{place.rpartition(':')[0]}:{tag['protective_tag']}"] = tag["new_digest"]
            if place in written:
                written[place].add(tag["new_digest"])
                platforms[place] |= architectures(storm.sources[push_id])
            else:
                assert tag["old_digest"] == site.before.get(place), tag
                expected[place] = tag["new_digest"]
    stored = Stored(site.b.host)
    held = {
        f"{repository}:{tag}": str(stored.digest(repository, tag))
        for repository in (f"{name}/own", f"{name}/shared")
        for tag in stored.tags(repository)
    }
    for place, digests in written.items():
        repository, _, tag = place.rpartition(":")
        assert held.pop(place) in digests, f"{place} is what no push says"
        _, _, content = stored.manifest(repository, tag)
        found = {entry["platform"]["architecture"] for entry in json.loads(content)["manifests"]}
        assert found == platforms[place], f"{place}: {found ^ platforms[place]}; failed: {failed(reports)}"
        stored.holds(repository, tag)
    for place in expected:
        stored.holds(*place.rsplit(":", 1))
    others = {place: digest for place, digest in held.items() if place not in expected}
    assert {place: digest for place, digest in held.items() if place in expected} == expected
    # A merge that another push overtook has left its protective tag behind: it is named by its digest.
    assert protective.items() <= others.items()
    assert all(".merged-" in place and place.partition(".merged-")[2] in digest for place, digest in others.items())
    site.figures.add(protective_tags_of_merges_that_were_overtaken=len(others) - len(protective))


def failed(reports: dict[str, Report]) -> list[Any]:
    return [tag for report in reports.values() for tag in report["items"][0]["tags"] if tag["error"]]


def architectures(source: Index) -> set[str]:
    document: dict[str, Any] = source.document
    return {entry["platform"]["architecture"] for entry in document["manifests"]}
