"""What a push tells to be its own work at a tag, and what it notes of it (BEHAVIOUR 6.6, 7.3, 7.6, 7.7)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tasks.errors import LockLost, LockUnavailable, NotFound, PushUndone, RegistryUnavailable, StateUnavailable
from tasks.oci import media_types
from tasks.oci.digest import Digest
from tasks.registry.manifest_answer import FetchedManifest
from tasks.transfer.plan.decide import Current, Decision
from tasks.transfer.ports import TagIntent, TagRecord, Writer
from tasks.transfer.publish.held_digest import HeldDigest
from tasks.transfer.publish.own_work import OwnWork
from tasks.transfer.publish.own_writes import OwnWrites
from tasks.transfer.publish.protective import ProtectiveTags
from tasks.transfer.publish.stage import Staged
from tests.support.intents import MemoryIntents
from tests.support.plans import planned_tag
from tests.support.tag_locks import MemoryTag, MemoryTagLocks

TAG = planned_tag("b.example/app:1", old_digest=Digest("sha256:before"))
REFERENCE = str(TAG.reference)
BEFORE, THEIRS, MINE, LATER = (Digest(f"sha256:{name}") for name in ("before", "theirs", "mine", "later"))
OTHER_PUSH, OTHER_DELIVERY = Writer("q", "1"), Writer("p", "1")
PROTECTIVE = "1.merged-mine"


@dataclass
class Tags:
    """The tags of a repository, by the digests that they hold; `unserved` are not looked at, `kept` not deleted."""

    held: dict[str, Digest] = field(default_factory=dict)
    unserved: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)

    def digest_at(self, tag: str) -> Digest | None:
        if tag in self.unserved:
            raise RegistryUnavailable("b.example does not serve.")
        return self.held.get(tag)

    def fetch_manifest(self, tag: str) -> FetchedManifest:
        if tag not in self.held:
            raise NotFound(tag)
        return FetchedManifest(b"{}", media_types.OCI_INDEX, self.held[tag])

    def delete_tag(self, tag: str) -> bool:
        if tag in self.kept:
            raise RegistryUnavailable("b.example does not serve.")
        return self.held.pop(tag, None) is not None


@dataclass
class NothingLost:
    """A stage that finds no other manifest of ours than `lost` under a late write."""

    lost: Current | None = None

    def overwritten(self, held: Digest, record: TagRecord, lock: MemoryTag) -> Current | None:
        del held, record, lock
        return self.lost


class Site:
    """One tag of one repository, with its locks and its records; each `work` is a delivery of the same push."""

    def __init__(self) -> None:
        self.locks = MemoryTagLocks()
        self.log = MemoryIntents()
        self.tags = Tags()
        self.stage = NothingLost()

    def work(self) -> OwnWork:
        repository: Any = self.tags
        stage: Any = self.stage
        protective = ProtectiveTags(repository, TAG.reference, self.log, keep_replaced=False)
        return OwnWork(TAG, self.log, protective, OwnWrites(HeldDigest(repository, "1"), stage))

    def lock(self) -> MemoryTag:
        with self.locks.hold(REFERENCE) as lock:
            return lock

    @property
    def fields(self) -> dict[str, str]:
        return self.locks.fields.get(REFERENCE, {})


@pytest.fixture
def site() -> Site:
    return Site()


def held(digest: Digest) -> Current:
    return Current(digest, media_types.OCI_INDEX, b"{}")


def decided(digest: Digest) -> Decision:
    return Decision("merged", held(digest))


def unchanged(digest: Digest) -> TagIntent:
    return TagIntent(action="unchanged", old_digest=digest, new_digest=digest)


def noted(new: Digest, old: Digest | None = BEFORE, **more: Any) -> TagIntent:
    return TagIntent(action="merged", old_digest=old, new_digest=new, **more)


def staged(
    over: Digest | None, *, wanted: Digest = MINE, record: TagRecord | None = None, mends: bool = False
) -> Staged:
    """Return a decision on a tag that holds `over`."""
    now = None if over is None else held(over)
    return Staged(decided(wanted), now, now, record or TagRecord(), mends=mends)


def writing(site: Site, intent: TagIntent, over: Digest | None = BEFORE) -> OwnWork:
    """Return the work of a delivery that began to write the digest of an intent."""
    work, lock = site.work(), site.lock()
    work.note(lock, staged(over, record=TagRecord(last=over)), intent)
    work.begin(lock, intent.new_digest)
    return work


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
    work.settle(lock, held(MINE))
    record, kept = lock.record(), lock.kept(MINE)
    assert (record.last, record.writer, record.under_way, record.begun) == (MINE, work.writer, {}, {})
    assert kept is not None
    assert (kept.media_type, kept.content) == (media_types.OCI_INDEX, b"{}")


def test_a_write_is_not_verified_without_the_lock(site: Site) -> None:
    """Rule 7.1."""
    work, lock = writing(site, noted(MINE)), site.lock()
    site.lock()
    with pytest.raises(LockLost):
        work.settle(lock, held(MINE))
    assert site.lock().record().last is None


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
    work.settle(lock, held(MINE))
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
