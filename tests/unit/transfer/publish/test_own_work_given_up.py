"""The work of a push at a tag that it does not move, or puts back (BEHAVIOUR 4.8, 6.6, 10.1)."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.errors import LockUnavailable
from tasks.oci.digest import Digest
from tasks.transfer.ports import TagIntent
from tests.support.tag_locks import MemoryTagLocks
from tests.unit.transfer.publish.own_work_site import (
    BEFORE,
    LATER,
    MINE,
    PROTECTIVE,
    THEIRS,
    Site,
    Tags,
    decided,
    noted,
    staged,
    writing,
)


@pytest.mark.parametrize(
    ("tags", "left"),
    [
        pytest.param(Tags(), None, id="gone"),
        pytest.param(Tags({PROTECTIVE: MINE}), PROTECTIVE, id="there"),
        pytest.param(Tags({PROTECTIVE: THEIRS}), None, id="of someone else by now"),
        pytest.param(Tags(unserved={PROTECTIVE}), PROTECTIVE, id="not to be looked at"),
    ],
)
def test_a_protective_tag_that_is_left_is_named(site: Site, tags: Tags, left: str | None) -> None:
    """Rule 4.8."""
    site.tags = tags
    site.log.noted = noted(MINE, protective_tag=PROTECTIVE, protective_tag_created=True)
    work = site.work()
    work.recall()
    assert work.protection_left() == left


def protected(site: Site, *, shared: bool = False) -> TagIntent:
    """Return an intent with a protective tag that is there."""
    site.tags.held[PROTECTIVE] = MINE
    site.log.needed.add(PROTECTIVE)
    site.log.needed_by_others = {PROTECTIVE} if shared else set()
    return noted(MINE, protective_tag=PROTECTIVE, protective_tag_created=True)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("holds", [MINE, THEIRS])
def test_a_write_that_was_announced_in_vain_is_forgotten(site: Site, shared: bool, holds: Digest) -> None:
    """Rules 4.8, 6.6: an undo leaves alone what others wrote; a protective tag stays if anyone needs it."""
    intent = protected(site, shared=shared)
    work, lock = site.work(), site.lock()
    work.note(lock, staged(BEFORE), intent)
    work.give_way(lock, staged(holds, wanted=holds))
    assert site.log.noted is not None
    assert (site.log.noted.changes, site.log.noted.new_digest) == (False, holds)
    assert lock.record().under_way == {}
    assert not work.may_have_written
    assert (PROTECTIVE in site.tags.held) == (shared or holds == MINE)
    assert site.log.needed == set()


def test_a_write_that_another_delivery_announced_since_is_not_forgotten(site: Site) -> None:
    """Rule 7.3."""
    work, lock = site.work(), site.lock()
    work.note(lock, staged(BEFORE), protected(site))
    site.log.noted = noted(LATER)
    work.give_way(lock, staged(THEIRS, wanted=THEIRS))
    assert (site.log.noted, site.tags.held) == (noted(LATER), {PROTECTIVE: MINE})


def test_what_this_push_wrote_before_stays_its_work_though_a_later_write_was_not_begun(site: Site) -> None:
    """Rule 7.7."""
    work, lock = writing(site, noted(MINE)), site.lock()
    work.settle(lock, staged(BEFORE))
    work.note(lock, staged(MINE, record=lock.record()), noted(LATER))
    work.found(decided(MINE))
    assert (site.log.noted, work.memory.own(MINE)) == (noted(LATER), noted(MINE))


def test_a_write_that_began_keeps_its_protective_tag(site: Site) -> None:
    """Rule 4.8."""
    work = writing(site, protected(site))
    work.give_way(site.lock(), staged(THEIRS, wanted=THEIRS))
    assert site.tags.held == {PROTECTIVE: MINE}


@pytest.mark.parametrize("step", ["give way", "clean", "found"])
def test_a_write_that_began_is_not_forgotten(site: Site, step: str) -> None:
    """Rules 6.6, 7.6: whether it arrived cannot be told."""
    work, lock = writing(site, noted(MINE)), site.lock()
    steps: dict[str, Callable[[], object]] = {
        "give way": lambda: work.give_way(lock, staged(THEIRS, wanted=THEIRS)),
        "clean": lambda: work.clean(site.locks),
        "found": lambda: work.found(decided(THEIRS)),
    }
    steps[step]()
    assert site.log.noted == noted(MINE)
    assert set(site.lock().record().under_way) == {MINE}


def test_a_tag_that_was_put_back_is_the_work_of_others(site: Site) -> None:
    """Rules 6.6, 10.1."""
    work = writing(site, noted(MINE))
    work.forget()
    assert site.log.noted is not None
    assert (site.log.noted.changes, site.log.noted.new_digest) == (False, BEFORE)
    assert work.memory.own(MINE) is None


def test_a_tag_of_a_release_that_others_made_right_is_noted(site: Site) -> None:
    """Rule 10.1: a later delivery reports it as unchanged."""
    work = site.work()
    work.found(decided(THEIRS))
    assert site.log.noted is not None
    assert (site.log.noted.action, site.log.noted.new_digest) == ("unchanged", THEIRS)
    assert (work.memory.latest, work.may_have_written) == (site.log.noted, False)


def test_a_tag_of_a_release_that_is_as_it_was_planned_needs_no_note(site: Site) -> None:
    """Rule 10.1."""
    site.work().found(decided(BEFORE))
    assert site.log.noted is None


def test_an_intent_is_replaced_by_what_others_made_right(site: Site) -> None:
    """Rules 4.8, 10.1: the protective tag is not needed for it any more."""
    work, lock = site.work(), site.lock()
    work.note(lock, staged(BEFORE), protected(site))
    work.found(decided(THEIRS))
    assert site.log.noted is not None
    assert (site.log.noted.action, site.log.noted.new_digest) == ("unchanged", THEIRS)
    assert site.log.needed == set()


@pytest.mark.parametrize(
    ("shared", "kept", "left"),
    [
        pytest.param(False, False, None, id="deleted"),
        pytest.param(True, False, None, id="another push needs it"),
        pytest.param(False, True, PROTECTIVE, id="the registry does not delete it"),
    ],
)
def test_protective_tags_of_a_tag_that_did_not_move_are_deleted(
    site: Site, shared: bool, kept: bool, left: str | None
) -> None:
    """Rule 4.8: and if nothing was written, what is there later is the work of others."""
    work, lock = site.work(), site.lock()
    work.note(lock, staged(BEFORE), protected(site, shared=shared))
    site.tags.kept = {PROTECTIVE} if kept else set()
    assert work.clean(site.locks) == left
    assert (PROTECTIVE in site.tags.held) == (shared or kept)
    assert site.log.noted is not None
    assert not site.log.noted.changes


def test_protective_tags_stay_if_the_tag_is_held_by_others(site: Site) -> None:
    """Rule 4.8: under its lock alone no push begins to need one."""
    work, lock = site.work(), site.lock()
    work.note(lock, staged(BEFORE), protected(site))
    assert work.clean(_Busy()) == PROTECTIVE
    assert site.tags.held == {PROTECTIVE: MINE}
    assert site.log.noted == noted(MINE, protective_tag=PROTECTIVE, protective_tag_created=True)


def test_a_push_that_noted_nothing_has_nothing_to_clean(site: Site) -> None:
    """Rule 4.8: it does not even wait for the tag."""
    assert site.work().clean(_Busy()) is None


class _Busy(MemoryTagLocks):
    def hold(self, reference: str, most: float | None = None) -> Any:
        del most
        raise LockUnavailable(f"The tag {reference} is held by another push.", 1.0)
