"""A release whose registry limits it, or whose locks are lost or away (BEHAVIOUR 7.5, 10.1)."""

import itertools
from contextlib import nullcontext

import pytest

from tasks.errors import (
    LockLost,
    RateLimited,
    ReleaseUnsettled,
    Retry,
    StateUnavailable,
)
from tasks.oci.digest import Digest
from tasks.transfer.ports import TagIntent
from tasks.transfer.publish.journal import Direction
from tests.acceptance.profiles.release.delivery import (
    NEW,
    OLD,
    TAGS,
    WHOLLY_NEW,
    WHOLLY_OLD,
    Closed,
    Fuse,
    Killed,
    LateLimit,
    Limit,
    Records,
    Worker,
    actions,
    begin,
    held,
    limited,
)
from tests.support.profiles.server import ProfileRegistry
from tests.support.tag_locks import MemoryTagLocks


@pytest.mark.parametrize("refused", [None, "3"])
def test_a_release_goes_on_when_the_redis_of_its_locks_is_back(registry: ProfileRegistry, refused: str | None) -> None:
    """Rules 7.5, 10.1: an outage is no reason for half of a release, and none of its tags is at fault."""
    for at in itertools.count(1):
        begin(registry)
        registry.immutable = () if refused is None else (refused,)
        records, locks = Records(), MemoryTagLocks()
        locks.away_at = at
        try:
            ended = Worker(registry, records, Fuse(), locks).run(NEW)
        except StateUnavailable:
            ended = Worker(registry, records, Fuse(), locks).run(NEW)
        assert held(registry) == (WHOLLY_NEW if refused is None else WHOLLY_OLD), f"away at write {at}"
        assert ended.stands == (refused is None), f"away at write {at}"
        if locks.steps < at:
            break
    assert at > len(TAGS)


def test_a_lock_that_is_lost_while_the_release_is_put_back_is_taken_again(registry: ProfileRegistry) -> None:
    """Rule 10.1: at once, by the same worker."""
    registry.immutable = ("3",)
    for at in itertools.count(1):
        begin(registry)
        locks = MemoryTagLocks()
        locks.lost_at = (at,)
        ended = Worker(registry, Records(), Fuse(), locks).run(NEW)
        assert held(registry) == WHOLLY_OLD, f"lost at write {at}"
        assert not ended.stands
        if locks.steps < at:
            break
    assert at > len(TAGS)


@pytest.mark.parametrize("direction", [None, "forward"])
def test_a_release_that_loses_its_locks_again_and_again_ends(
    registry: ProfileRegistry, direction: Direction | None
) -> None:
    """Rules 7.5, 10.1: its tries are counted; half of it is waited for, with an end."""
    begin(registry)
    records, locks = Records(direction), MemoryTagLocks()
    registry.put("ns/app", NEW, "1")
    intent = TagIntent(
        action="copied", old_digest=Digest(OLD.digest), old_media_type=OLD.media_type, new_digest=Digest(NEW.digest)
    )
    records.intents = {f"{registry.host}/ns/app:1": intent} if direction else {}
    locks.lost_at = range(1_000)
    worker = Worker(registry, records, Fuse(), locks)
    with pytest.raises(LockLost):
        worker.run(NEW, retries=True)
    ended = worker.run(NEW, retries=False)
    assert {report.error.code for report in ended.reports.values() if report.error} == {"lock_lost"}
    told = {"cannot be told" in str(report.error) for report in ended.reports.values()}
    assert told == {direction is not None}
    with pytest.raises(ReleaseUnsettled) if direction else nullcontext():
        worker.run(NEW, may_retry=lambda error: error.retry is Retry.WAIT)


def test_a_tag_that_cannot_be_put_back_yet_is_tried_again(registry: ProfileRegistry) -> None:
    """Rule 10.1: the release stays in the state of going back until its last try."""
    begin(registry)
    registry.immutable = ("3",)
    records = Records()
    worker = Worker(registry, records, Fuse(), MemoryTagLocks())
    note = worker.note

    def note_and_refuse(direction: Direction, why: str = "") -> None:
        note(direction, why)
        if direction == "back":
            registry.immutable = ("1", "3")

    worker.note = note_and_refuse  # type: ignore[method-assign]
    with pytest.raises(ReleaseUnsettled):
        worker.run(NEW, retries=True)
    assert records.direction == "back"
    registry.immutable = ()
    ended = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)
    assert held(registry) == WHOLLY_OLD
    assert not ended.stands


@pytest.mark.parametrize("limit", [Limit, LateLimit])
def test_a_release_that_a_registry_limits_is_put_back_and_tried_again(
    registry: ProfileRegistry, limit: type[Limit]
) -> None:
    """Rule 10.1."""
    for at in itertools.count(1):
        begin(registry)
        records = Records()
        try:
            Worker(registry, records, limit(at), MemoryTagLocks()).run(NEW, retries=True)
        except RateLimited:
            assert held(registry) == WHOLLY_OLD, f"limited at write {at}"
        else:
            break
        ended = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)
        assert held(registry) == WHOLLY_NEW, f"limited at write {at}"
        assert actions(ended) == dict.fromkeys(TAGS, "copied"), f"limited at write {at}"
    assert at > len(TAGS)


def test_a_release_that_is_limited_at_its_last_try_has_failed(registry: ProfileRegistry) -> None:
    """Rule 10.1."""
    records = limited(registry, "3")
    ended = Worker(registry, records, Limit(len(TAGS) + 2), MemoryTagLocks()).run(NEW)
    assert held(registry) == WHOLLY_OLD
    assert actions(ended) == {"1": "rolled_back", "2": "failed", "3": "skipped", "new": "skipped"}


def closed(registry: ProfileRegistry) -> Records:
    """Let a registry limit a release, and then its roll-back, and return its records."""
    begin(registry)
    records = Records()
    with pytest.raises(ReleaseUnsettled) as raised:
        Worker(registry, records, Closed(len(TAGS) + 3), MemoryTagLocks()).run(NEW, retries=True)
    assert (raised.value.retry, raised.value.retry_after) == (Retry.WAIT, 40.0)
    assert (records.direction, held(registry)) == ("return", WHOLLY_OLD | {"1": NEW.digest, "2": NEW.digest})
    return records


def test_a_release_goes_on_when_a_limit_has_passed_that_its_roll_back_met(registry: ProfileRegistry) -> None:
    """Rule 10.1: also where its worker is killed between any two steps."""
    for at in itertools.count(1):
        records = closed(registry)
        try:
            Worker(registry, records, Fuse(at), MemoryTagLocks()).run(NEW)
        except Killed:
            ended = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)
            assert held(registry) == WHOLLY_NEW, f"killed at step {at}"
            assert actions(ended) == dict.fromkeys(TAGS, "copied"), f"killed at step {at}"
        else:
            break
    assert held(registry) == WHOLLY_NEW


def test_a_roll_back_that_a_registry_limits_is_waited_for(registry: ProfileRegistry) -> None:
    """Rule 10.1: the tries of the release may be used up, and half of it must not stay for that."""
    records = closed(registry)
    given_up = Worker(registry, records, Closed(1), MemoryTagLocks()).run(NEW)
    assert held(registry) == WHOLLY_OLD | {"1": NEW.digest, "2": NEW.digest}
    for tag in ("1", "2"):
        report = given_up.reports[tag]
        assert (report.action, report.error.code if report.error else None) == ("failed", "rate_limited")
        assert "Whether the tag was put back cannot be told." in str(report.error)
    Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)
