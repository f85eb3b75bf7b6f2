"""What a push tells to be its own work at a tag, and what it notes of it (BEHAVIOUR 6.6, 7.3, 7.6, 7.7)."""

import pytest

from tasks.errors import LockLost, PushUndone, StateUnavailable
from tasks.oci import media_types
from tasks.oci.digest import Digest
from tasks.transfer.ports import TagIntent, TagRecord, Writer
from tests.unit.transfer.publish.own_work_site import (
    BEFORE,
    LATER,
    MINE,
    THEIRS,
    Site,
    held,
    noted,
    staged,
    unchanged,
    writing,
)

OTHER_PUSH, OTHER_DELIVERY = Writer("q", "1"), Writer("p", "1")


def test_two_deliveries_are_two_writers_of_one_push(site: Site) -> None:
    """Rule 7.3."""
    one, two = site.work().writer, site.work().writer
    assert (one.push_id, two.push_id) == ("p", "p")
    assert one.delivery != two.delivery


@pytest.mark.parametrize(
    ("last", "over", "mends", "seen"),
    [
        pytest.param(BEFORE, BEFORE, False, None, id="it holds the last verified write"),
        pytest.param(BEFORE, THEIRS, False, THEIRS, id="someone else wrote it since"),
        pytest.param(None, THEIRS, False, THEIRS, id="someone else wrote it first"),
        pytest.param(BEFORE, MINE, True, None, id="a late write is mended: what it wrote is not that of others"),
    ],
)
def test_an_announced_write_is_in_the_record_with_what_it_replaces(
    site: Site, last: Digest | None, over: Digest, mends: bool, seen: Digest | None
) -> None:
    """Rule 7.6: what others wrote is noted first, since a late write of this push may replace it."""
    lock, work = site.lock(), site.work()
    if last is not None:
        site.fields["last"] = last
    work.note(lock, staged(over, wanted=LATER, record=lock.record(), mends=mends), noted(LATER))
    record = lock.record()
    assert record.last == (seen or last)
    assert record.under_way == {LATER: frozenset({seen or last})}
    assert record.writers == {LATER: frozenset({work.writer})}
    assert (lock.kept(over) is not None) == (seen is not None)
    assert (site.log.noted, site.log.replaced) == (noted(LATER), [held(over)])
    assert work.memory.latest == noted(LATER)


def test_nothing_is_noted_as_intended_that_the_record_does_not_have(site: Site) -> None:
    """Rule 7.6: an intent without an announced write would count as verified."""
    site.locks.away_at = 1
    with pytest.raises(StateUnavailable):
        site.work().note(site.lock(), staged(BEFORE), noted(MINE))
    assert site.log.noted is None


@pytest.mark.parametrize("refusal", [LockLost("Another delivery moved it."), PushUndone("It was taken back.")])
def test_a_write_that_is_forbidden_is_announced_no_longer(site: Site, refusal: LockLost | PushUndone) -> None:
    """Rules 6.6, 7.6."""
    site.log.refusal = refusal
    lock, work = site.lock(), site.work()
    with pytest.raises(type(refusal)):
        work.note(lock, staged(BEFORE), noted(MINE))
    assert lock.record().under_way == {}
    assert work.memory.latest is None


def test_a_write_that_began_stays_announced_though_its_repeat_is_forbidden(site: Site) -> None:
    """Rule 7.6: the first one may still reach the registry."""
    work = writing(site, noted(MINE))
    site.log.refusal = LockLost("Another delivery moved it.")
    with pytest.raises(LockLost):
        work.note(site.lock(), staged(BEFORE), noted(MINE, THEIRS))
    assert set(site.lock().record().under_way) == {MINE}


def test_a_write_that_begins_is_work_of_this_push(site: Site) -> None:
    """Rules 6.6, 7.3."""
    lock, work = site.lock(), site.work()
    work.note(lock, staged(BEFORE), noted(MINE))
    assert (work.begun, work.may_have_written, work.memory.own(MINE)) == (False, False, None)
    work.begin(lock, MINE)
    assert (work.begun, work.may_have_written, work.memory.own(MINE)) == (True, True, noted(MINE))
    assert lock.record().begun == {MINE: frozenset({work.writer})}


def test_a_write_does_not_begin_without_the_lock(site: Site) -> None:
    """Rule 7.1."""
    lock, work = site.lock(), site.work()
    work.note(lock, staged(BEFORE), noted(MINE))
    site.lock()
    with pytest.raises(LockLost):
        work.begin(lock, MINE)
    assert (work.begun, work.memory.own(MINE)) == (False, None)


def test_what_another_delivery_began_may_be_written_too(site: Site) -> None:
    """Rule 7.3: a delivery that wrote nothing by itself knows that by the ledger."""
    site.log.noted = noted(MINE)
    work = site.work()
    assert not work.may_have_written
    work.recall()
    assert (work.begun, work.may_have_written) == (False, True)
    idle = site.work()
    idle.recall(has_written=False)
    assert not idle.may_have_written


def test_a_verified_write_is_in_the_record_with_its_bytes(site: Site) -> None:
    """Rule 7.6."""
    work, lock = writing(site, noted(MINE)), site.lock()
    work.settle(lock, staged(BEFORE))
    record, kept = lock.record(), lock.kept(MINE)
    assert (record.last, record.writer, record.under_way, record.begun) == (MINE, work.writer, {}, {})
    assert kept is not None
    assert (kept.media_type, kept.content) == (media_types.OCI_INDEX, b"{}")


def test_a_write_is_not_verified_without_the_lock(site: Site) -> None:
    """Rule 7.1."""
    work, lock = writing(site, noted(MINE)), site.lock()
    site.lock()
    with pytest.raises(LockLost):
        work.settle(lock, staged(BEFORE))
    assert site.lock().record().last == BEFORE


@pytest.mark.parametrize("digest", [BEFORE, None])
def test_to_put_a_tag_back_is_to_begin_a_write(site: Site, digest: Digest | None) -> None:
    """Rules 7.6, 10.1: that may be late, too."""
    work = site.work()
    work.put_back_to(digest)
    assert (work.begun, work.may_have_written) == (True, True)


MINE_BY_RECORD = TagRecord(last=MINE, writer=OTHER_DELIVERY)


THEIRS_BY_RECORD = TagRecord(last=MINE, writer=OTHER_PUSH)


@pytest.mark.parametrize(
    ("latest", "record", "over", "own"),
    [
        pytest.param(noted(MINE), MINE_BY_RECORD, MINE, True, id="another delivery of this push wrote it"),
        pytest.param(noted(MINE), THEIRS_BY_RECORD, MINE, False, id="another push wrote the same image"),
        pytest.param(noted(MINE), TagRecord(last=MINE), MINE, True, id="nobody knows who wrote it"),
        pytest.param(noted(MINE), TagRecord(THEIRS, writer=OTHER_PUSH), THEIRS, True, id="it holds something else"),
        pytest.param(unchanged(MINE), THEIRS_BY_RECORD, MINE, True, id="the intent changes nothing"),
        pytest.param(noted(MINE), THEIRS_BY_RECORD, None, True, id="the tag is absent"),
    ],
)
def test_an_image_that_two_pushes_write_is_the_work_of_one(
    site: Site, latest: TagIntent, record: TagRecord, over: Digest | None, own: bool
) -> None:
    """Rules 6.1, 6.6."""
    site.log.noted = latest
    work = site.work()
    work.recall()
    work.tell_whose(staged(over, record=record))
    assert (work.memory.own(MINE) is not None) == own


def test_without_an_intent_nothing_is_told_to_be_own_work(site: Site) -> None:
    """Rule 6.6."""
    work = site.work()
    work.tell_whose(staged(MINE, record=MINE_BY_RECORD))
    assert (work.memory.own(MINE), work.may_have_written) == (None, False)


UNVERIFIED = TagRecord(last=THEIRS, writers={MINE: frozenset({OTHER_DELIVERY})})


@pytest.mark.parametrize(
    ("latest", "record", "found"),
    [
        pytest.param(noted(MINE), TagRecord(last=THEIRS), True, id="verified, and others built on it"),
        pytest.param(noted(MINE), UNVERIFIED, False, id="its write is under way"),
        pytest.param(noted(MINE), TagRecord(), False, id="nothing was ever verified"),
        pytest.param(noted(MINE, settled=True), TagRecord(last=THEIRS), False, id="of an earlier run, which reported"),
        pytest.param(
            TagIntent(action="unchanged", old_digest=MINE, new_digest=MINE),
            TagRecord(last=THEIRS),
            False,
            id="no change",
        ),
        pytest.param(None, TagRecord(last=THEIRS), False, id="no intent"),
    ],
)
def test_a_move_that_a_killed_delivery_made_is_reported(
    site: Site, latest: TagIntent | None, record: TagRecord, found: bool
) -> None:
    """Rule 7.7."""
    site.log.noted = latest
    work = site.work()
    work.recall()
    assert work.moved_before(staged(THEIRS, record=record)) == (latest if found else None)


def test_a_move_of_another_push_of_the_same_image_is_not_reported(site: Site) -> None:
    """Rule 7.7: this push announced the write, and certainly did not begin it."""
    site.log.noted = noted(MINE)
    work = site.work()
    work.recall(has_written=False)
    assert work.moved_before(staged(THEIRS, record=TagRecord(last=THEIRS))) is None


def test_a_late_write_is_told_with_what_it_replaced(site: Site) -> None:
    """Rule 7.6."""
    work = writing(site, noted(MINE))
    site.tags.held["1"] = MINE
    site.stage.lost = held(THEIRS)
    late = work.written_late(site.lock())
    assert late is not None
    assert (late.old_digest, late.new_digest, late.action) == (THEIRS, MINE, "copied")


def test_a_late_write_over_a_tag_that_was_put_back_leads_to_what_was_there_before(site: Site) -> None:
    """Rules 7.6, 10.1: another delivery had put it back, and noted so."""
    work = writing(site, noted(MINE))
    site.tags.held["1"] = MINE
    assert work.written_late(site.lock()) is None
    site.log.noted = unchanged(BEFORE)
    work.recall()
    assert work.written_late(site.lock()) == noted(MINE)


def test_what_another_delivery_of_the_push_writes_meanwhile_is_no_unchanged_tag(site: Site) -> None:
    """Rule 7.7: it noted its intent after this one had read the intents."""
    work = site.work()
    work.recall()
    writing(site, noted(MINE))
    assert work.left(staged(MINE, record=site.lock().record())) == noted(MINE)


def test_what_another_push_writes_meanwhile_is_an_unchanged_tag(site: Site) -> None:
    """Rule 7.7."""
    work, lock = site.work(), site.lock()
    work.recall()
    lock.note_begun(MINE, Writer("another", "delivery"))
    assert not work.left(staged(MINE, record=lock.record())).changes
