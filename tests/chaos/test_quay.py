"""Races and a storm where a manifest is gone as soon as no tag holds it, as on Quay (BEHAVIOUR 6.6, 7.1, 7.6).

The races are those of test_tag_lock, which run here once more against such a registry.
"""

import json
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.chaos import test_random, test_tag_lock
from tests.chaos.conftest import MakeSite
from tests.chaos.site import Site
from tests.support.profiles import profiles
from tests.support.profiles.profile import AccessRules
from tests.support.profiles.server import ProfileRegistry
from tests.support.redis_server import RedisServer

PUSHES = 12
# Without a login: what lives how long is what these tests are about.
PROFILE = replace(profiles.QUAY, name="quay-without-login", access=AccessRules())

watched_site = test_tag_lock.watched_site
unwatched_site = test_tag_lock.unwatched_site
any_site = test_tag_lock.any_site
site = test_tag_lock.site

test_two_workers = test_tag_lock.test_two_workers_that_want_a_tag_at_once_lose_nothing
test_someone_else_writes = test_tag_lock.test_someone_else_writes_between_look_and_write
test_a_lost_lock = test_tag_lock.test_a_worker_that_lost_its_lock_does_not_write
test_a_late_write = test_tag_lock.test_a_worker_that_stood_still_before_its_write_undoes_nothing


@pytest.fixture(scope="module")
def registry_b() -> Iterator[ProfileRegistry]:
    """Take the place of the Distribution registry that sites push to."""
    with ProfileRegistry(PROFILE) as registry:
        yield registry


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1])
def test_pushes_in_a_storm_lose_nothing_and_can_be_undone(make_site: MakeSite, name: str, seed: int) -> None:
    """Rules 7.1, 7.4, 6.6: every tag that was overwritten goes back to its exact old digest."""
    drawn = random.Random(seed)
    with ExitStack() as running:
        server = running.enter_context(RedisServer(appendonly=True))
        made = make_site(server, {})
        running.callback(made.fleet.end)
        storm = test_random.Storm(made, name, drawn, made.a.host, made.b.host)
        made.fleet.start(2)
        for number in range(PUSHES):
            storm.send(number)
            time.sleep(drawn.uniform(0, 0.3))
            if drawn.random() < 0.25:
                storm.harm(server)
        reports = {push_id: made.report(push_id, 250) for push_id in storm.sources}
        made.settle()
        assert {report["state"] for report in reports.values()} == {"succeeded"}
        test_random.judge(storm, reports)
        for push_id in reports:
            _undo(made, push_id)
        own = {place: digest for place, digest in made.tags().items() if place.startswith(f"{name}/own:")}
        assert own == made.before


def _undo(made: Site, push_id: str) -> None:
    """Take a push back; of a tag that several pushes share, a later one is left alone."""
    with made.cli("undo", push_id, "--yes", "--output", "json") as program:
        answer, errors = program.communicate(timeout=100)
    assert b"Traceback" not in errors
    actions = {tag["reference"].partition("/")[2]: tag["action"] for tag in json.loads(answer)["tags"]}
    shared = {action for place, action in actions.items() if "/shared:" in place}
    assert shared <= {"moved", "restored", "deleted", "unchanged"}
    assert {action for place, action in actions.items() if "/own:" in place} <= {"restored", "deleted"}
