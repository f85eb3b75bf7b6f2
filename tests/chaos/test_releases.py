"""Releases in a storm: workers are killed and stopped, Redis is restarted, writes are refused, others write too.

`RELEASES` in the environment is how many there are; by default so many that a run takes about a minute. `RELEASES_SEED`
chooses what happens, and `RELEASES_HARM` how often workers and Redis are harmed, 1 by default.
"""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.chaos.conftest import open_site
from tests.chaos.releases import EVENTS, Refusals, Storm, judge
from tests.chaos.site import Registry, Site
from tests.support.faulty_proxy import FaultyProxy
from tests.support.figures import Section
from tests.support.profiles import profiles
from tests.support.profiles.profile import AccessRules
from tests.support.profiles.server import ProfileRegistry
from tests.support.redis_server import RedisServer
from tests.support.registries import DistributionRegistry

RELEASES = int(os.environ.get("RELEASES", "12"))
SEED = int(os.environ.get("RELEASES_SEED", "1"))
HARM = int(os.environ.get("RELEASES_HARM", "1"))
WORKERS = 3
# Pushes that are under way at once: the others would wait in the queue while nothing happens to them.
AT_ONCE = 12
# Zot stores several tags with one request.
PROFILES = {
    profile.name: replace(profile, name=f"{profile.name}-without-login", access=AccessRules())
    for profile in (profiles.QUAY, profiles.ZOT)
}


@pytest.fixture(params=["distribution", *PROFILES])
def registry(request: pytest.FixtureRequest, registry_b: DistributionRegistry) -> Iterator[Registry]:
    if request.param == "distribution":
        yield registry_b
        return
    with ProfileRegistry(PROFILES[request.param]) as served:
        yield served


@dataclass
class Harm:
    """What happens to workers and Redis while releases are under way."""

    site: Site
    server: RedisServer
    drawn: random.Random

    def act(self, storm: Storm) -> None:
        weights = (60, 10 * HARM, 6 * HARM, 4 * HARM, 20)
        match self.drawn.choices(("nothing", "kill", "stop", "redis", "foreign"), weights)[0]:
            case "kill":
                for worker in self.drawn.sample(self.site.fleet.alive, self.drawn.choice((1, 1, 2))):
                    worker.kill()
                    self.site.figures.add(workers_killed=1)
                self.site.fleet.replace(WORKERS)
            case "stop":
                stopped = self.drawn.sample(self.site.fleet.alive, self.drawn.choice((1, 1, 2)))
                for worker in stopped:
                    worker.process.send_signal(signal.SIGSTOP)
                # Longer than a lease.
                time.sleep(self.drawn.choice((1, 1, 3)) * self.drawn.uniform(1.0, 3.0))
                for worker in stopped:
                    worker.resume()
                self.site.figures.add(workers_stopped_for_a_while=len(stopped))
            case "redis":
                self.server.kill()
                time.sleep(self.drawn.uniform(0.1, 1.0))
                self.server.restart()
                self.site.figures.add(redis_restarts=1)
            case "foreign":
                storm.write_foreign()
                self.site.figures.add(foreign_writes=1)


@pytest.mark.timeout(600 + 20 * RELEASES)
def test_each_release_of_a_storm_is_wholly_new_or_wholly_old(
    registry: Registry,
    registry_a: DistributionRegistry,
    redis_server: RedisServer,
    settings_file: Path,
    chaos_figures: Section,
    name: str,
) -> None:
    """Rule 10.1."""
    drawn = random.Random(SEED)
    plan = Refusals()
    settings = {"IMAGEPUSHER_CONFIG": str(settings_file), "IMAGEPUSHER_EVENTS_TASK": "anyone.tag_moved"}
    settings["IMAGEPUSHER_EVENTS_QUEUE"] = EVENTS
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer(appendonly=True))
        proxy = stack.enter_context(FaultyProxy(registry.host, plan))
        site = stack.enter_context(open_site(registry_a, registry, server, redis_server, settings, chaos_figures))
        site.fleet.start(WORKERS)
        storm, harm = Storm(site, name, proxy.host, drawn, plan), Harm(site, server, drawn)
        while len(storm.releases) < RELEASES:
            storm.send()
            time.sleep(drawn.uniform(0, 0.3))
            harm.act(storm)
            while sum(not site.ended(each.push_id) for each in storm.releases[-3 * AT_ONCE :]) >= AT_ONCE:
                time.sleep(0.5)
                if drawn.random() < 0.3:
                    harm.act(storm)
        reports = {each.push_id: site.report(each.push_id) for each in storm.releases}
        site.settle()
        verdict = judge(storm, reports)
        site.figures.add(releases_wholly_new=verdict.new, releases_wholly_old=verdict.old)
        site.figures.add(faults_of_registries=len(proxy.injected))
        assert not verdict.faults, "\n".join([*verdict.faults[:40], site.fleet.logs()])
