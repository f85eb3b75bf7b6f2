"""A release lands whole or not at all (BEHAVIOUR 10.1), also where its worker is killed between any two steps."""

import itertools
from contextlib import suppress

import pytest

from tasks.errors import (
    LockUnavailable,
    PushAbandoned,
    RateLimited,
)
from tests.acceptance.profiles.release.delivery import (
    NEW,
    OLD,
    TAGS,
    WHOLLY_NEW,
    WHOLLY_OLD,
    WITHOUT_DELETES,
    Fuse,
    Killed,
    Limit,
    Records,
    Worker,
    actions,
    announced,
    begin,
    held,
    kill_everywhere,
)
from tests.support import images
from tests.support.profiles import profiles
from tests.support.profiles.profile import Profile
from tests.support.profiles.server import ProfileRegistry
from tests.support.tag_locks import MemoryTagLocks


def test_a_release_moves_all_of_its_tags(registry: ProfileRegistry) -> None:
    """Rule 10.1."""
    begin(registry)
    ended = Worker(registry, Records(), Fuse(), MemoryTagLocks()).run(NEW)
    assert held(registry) == WHOLLY_NEW
    assert actions(ended) == dict.fromkeys(TAGS, "copied")


@pytest.mark.parametrize("refused", TAGS[:-1])
def test_a_tag_that_cannot_move_takes_all_others_back(registry: ProfileRegistry, refused: str) -> None:
    """Rule 10.1: to their exact old digests, and a new one is deleted."""
    begin(registry)
    registry.immutable = (refused,)
    ended = Worker(registry, Records(), Fuse(), MemoryTagLocks()).run(NEW)
    assert held(registry) == WHOLLY_OLD
    place = TAGS.index(refused)
    assert actions(ended) == {
        tag: "rolled_back" if number < place else "failed" if number == place else "skipped"
        for number, tag in enumerate(TAGS)
    }


def test_two_items_of_a_release_meet_at_each_tag_and_go_back_together(registry: ProfileRegistry) -> None:
    """Rules 1.5, 10.1: to what was there before the first of them."""
    second = images.index([images.image("linux/arm64", [images.layer("second", 100)])])
    for at in itertools.count(1):
        begin(registry)
        for member in second.members:
            registry.put("ns/app", member)
        records = Records()
        try:
            Worker(registry, records, Limit(at), MemoryTagLocks(), second).run(NEW, retries=True)
        except RateLimited:
            assert held(registry) == WHOLLY_OLD, f"limited at write {at}"
        else:
            break
        ended = Worker(registry, records, Fuse(), MemoryTagLocks(), second).run(NEW)
        assert ended.stands
        assert set(registry.tags("ns/app")) >= set(TAGS)
        assert held(registry).items().isdisjoint((WHOLLY_OLD | WHOLLY_NEW).items()), f"limited at write {at}"
    assert at > 3 * len(TAGS)
    assert {intent.old_digest for intent in records.intents.values()} == {OLD.digest, None}


def test_a_worker_that_is_killed_between_any_two_steps_leaves_no_half_of_a_release(registry: ProfileRegistry) -> None:
    """Rule 10.1."""
    assert kill_everywhere(registry, (WHOLLY_NEW,)) == {"new"}


def test_what_a_killed_worker_left_is_not_what_another_release_goes_back_to(registry: ProfileRegistry) -> None:
    """Rule 10.1: two releases share tags, both are killed in their middle, and both are refused in the end."""
    second = images.index([images.image("linux/arm64", [images.layer("second", 100)])])
    for at in itertools.count(1):
        begin(registry)
        for member in second.members:
            registry.put("ns/app", member)
        registry.immutable = ("3",)
        killed = Records()
        try:
            Worker(registry, killed, Fuse(at), MemoryTagLocks()).run(NEW)
        except Killed:
            pass
        else:
            break
        later = Worker(registry, Records(), Fuse(at), MemoryTagLocks(), other=killed)
        with suppress(LockUnavailable, Killed):
            later.run(second, retries=True)
        Worker(registry, killed, Fuse(), MemoryTagLocks()).run(NEW)
        Worker(registry, later.records, Fuse(), MemoryTagLocks()).run(second)
        assert held(registry) == WHOLLY_OLD, f"killed at step {at}"


def test_a_worker_that_is_killed_while_it_rolls_back_leaves_no_half_of_a_release(registry: ProfileRegistry) -> None:
    """Rule 10.1."""
    registry.immutable = ("3",)
    assert kill_everywhere(registry, (WHOLLY_OLD,)) == {"old"}


def test_a_release_that_is_abandoned_is_put_back_unless_it_stands(registry: ProfileRegistry) -> None:
    """Rule 10.1: a worker that it ended left it at any of its steps."""
    endings = []
    for at in itertools.count(1):
        begin(registry)
        records = Records()
        try:
            Worker(registry, records, Fuse(at), MemoryTagLocks()).run(NEW)
        except Killed:
            pass
        else:
            break
        ended = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW, abandoned=PushAbandoned("Four times."))
        endings.append(held(registry))
        assert ended.stands == (endings[-1] == WHOLLY_NEW), f"killed at step {at}"
        codes = {report.error.code for report in ended.reports.values() if report.error is not None}
        assert codes == (set() if ended.stands else {"abandoned"}), f"killed at step {at}"
    # The last step notes that it stands; one kill is before that, and one after.
    assert endings == [*[WHOLLY_OLD] * (len(endings) - 1), WHOLLY_NEW]


def test_a_release_that_was_reported_before_it_began_never_begins(registry: ProfileRegistry) -> None:
    """Rules 6.1, 10.1: another delivery gave it up while this one stood still, and reported its tags."""
    records = announced(registry)
    ended = Worker(registry, records, Fuse(), MemoryTagLocks()).run(
        NEW, abandoned=PushAbandoned("It ended its workers.")
    )
    assert {report.action for report in ended.reports.values()} == {"failed"}
    late = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)
    assert not late.stands
    assert (records.direction, held(registry)) == ("never", WHOLLY_OLD)


@pytest.mark.parametrize(
    ("profile", "reason"),
    [(WITHOUT_DELETES, "deletes neither tags nor manifests"), (profiles.DISTRIBUTION_2_8, "elsewhere holds")],
    ids=lambda each: getattr(each, "name", ""),
)
def test_what_could_not_be_moved_back_is_refused_before_anything_moves(profile: Profile, reason: str) -> None:
    """Rule 10.1: a new tag, where the registry deletes none, or would delete another tag along with it."""
    with ProfileRegistry(profile) as registry:
        begin(registry)
        registry.put("ns/app", NEW, "elsewhere")
        refused = Worker(registry, Records(), Fuse(), MemoryTagLocks()).run(NEW)
        assert held(registry) == WHOLLY_OLD
        fault = refused.reports["new"].error
        assert fault is not None
        assert fault.code == "irreversible"
        assert reason in fault.message
        assert {key: report.action for key, report in refused.reports.items()} == {
            tag: "failed" if tag == "new" else "skipped" for tag in TAGS
        }
        accepted = Worker(registry, Records(), Fuse(), MemoryTagLocks(), irreversible=True).run(NEW)
        assert held(registry) == WHOLLY_NEW
        assert accepted.stands


def test_a_registry_that_deletes_manifests_only_takes_a_release_back_and_on() -> None:
    """Rule 10.1: also where the killed worker had moved the new tag, which then holds the manifest."""
    with ProfileRegistry(profiles.DISTRIBUTION_2_8) as registry:
        assert kill_everywhere(registry, (WHOLLY_NEW,)) == {"new"}
        registry.immutable = ("3",)
        assert kill_everywhere(registry, (WHOLLY_OLD,)) == {"old"}
