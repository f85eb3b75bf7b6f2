"""How a push knows its own work at a tag again: a table of intents (BEHAVIOUR 6.6, 7.3, 7.4, 7.6)."""

import msgspec
import pytest

from tasks.oci.digest import Digest
from tasks.transfer.plan.decide import Current, Decision
from tasks.transfer.ports import DELETED, TagIntent, TagRecord, Writer
from tasks.transfer.publish.intent_memory import Memory

INDEX = "application/vnd.oci.image.index.v1+json"
THEIRS, MINE, MERGED, NEWER = (Digest(f"sha256:{name}") for name in ("theirs", "mine", "merged", "newer"))

ONE, TWO = Writer("p", "1"), Writer("q", "2")


def held(digest: Digest) -> Current:
    return Current(digest, INDEX, b"{}")


def decided(digest: Digest) -> Decision:
    return Decision("merged", held(digest))


def noted(new: Digest, old: Digest | None = THEIRS, **more: object) -> TagIntent:
    return TagIntent(action="merged", old_digest=old, old_media_type=INDEX if old else "", new_digest=new, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("memory", "base", "old"),
    [
        pytest.param(Memory(), None, None, id="the tag is new"),
        pytest.param(Memory(), held(THEIRS), THEIRS, id="someone else's tag is replaced"),
        pytest.param(Memory().recalling(noted(MINE)), held(MINE), THEIRS, id="this push wrote it, over theirs"),
        pytest.param(Memory().recalling(noted(MINE, None)), held(MINE), None, id="this push wrote it, and it was new"),
        pytest.param(Memory().recalling(noted(MINE)), held(NEWER), NEWER, id="someone wrote over this push"),
        pytest.param(Memory().recalling(noted(MINE)), held(NEWER), NEWER, id="this push wrote late, over a newer one"),
        pytest.param(
            Memory().recalling(noted(MINE)).recalling(noted(NEWER)),
            held(NEWER),
            THEIRS,
            id="this push wrote late, over what another delivery of it wrote",
        ),
    ],
)
def test_the_old_digest_is_the_one_to_put_back(memory: Memory, base: Current | None, old: Digest | None) -> None:
    """Rule 6.6: undo restores the tag that was there before this push, or what others wrote in between."""
    intent = memory.intent(decided(MERGED), base)
    assert (intent.old_digest, intent.old_media_type) == (old, INDEX if old else "")
    assert intent.new_digest == MERGED


@pytest.mark.parametrize("old", [THEIRS, None])
def test_what_an_earlier_item_wrote_is_work_of_this_push(old: Digest | None) -> None:
    """Rule 6.6: also if the worker was killed between the intent of the later item and its write."""
    second = Memory().recalling(noted(MINE, old)).intent(decided(MERGED), held(MINE))
    assert (second.old_digest, second.written_before) == (old, MINE)
    own = Memory().recalling(second).own(MINE)
    assert own is not None
    assert (own.old_digest, own.new_digest) == (old, MINE)
    again = Memory().recalling(second).intent(decided(MERGED), held(MINE))
    assert (again.old_digest, again.written_before) == (old, MINE)


@pytest.mark.parametrize("old", [THEIRS, None])
def test_a_tag_that_was_put_back_is_no_work_of_this_push(old: Digest | None) -> None:
    """Rules 6.1, 6.6, 10.1: nor is what others write there later; its protective tags are."""
    intent = noted(MINE, old, protective_tag="1.merged-a", protective_tag_created=True)
    assert intent.changes
    forgotten = Memory().recalling(intent).forgotten()
    assert forgotten is not None
    assert not forgotten.changes
    memory = Memory().recalling(forgotten)
    assert memory.own(MINE) is None
    assert memory.left(decided(MINE)).action == "unchanged"
    assert memory.made_protection(MINE)
    assert memory.protective_tags() == ["1.merged-a"]
    again = memory.intent(decided(MINE), held(old) if old else None)
    assert (again.old_digest, again.old_media_type) == (intent.old_digest, intent.old_media_type)
    assert Memory().forgotten() is None


def test_an_intent_that_was_not_carried_out_is_no_work_of_this_push() -> None:
    """Rule 6.1: another push may have written the same image between the look and the write."""
    memory = Memory().remembering(noted(MINE, protective_tag="1.merged-a", protective_tag_created=True))
    assert memory.own(MINE) is None
    assert memory.recalling(memory.latest).own(MINE) is None
    assert memory.left(decided(MINE)).action == "unchanged"
    assert memory.made_protection(MINE)
    assert memory.writing().own(MINE) == memory.latest
    assert memory.writing().remembering(noted(MINE, NEWER)).own(MINE) == noted(MINE, NEWER)


def test_an_intent_of_this_process_is_known_though_the_ledger_has_another() -> None:
    """Rule 7.3: a process that stood still finds its own work."""
    memory = Memory().remembering(noted(MINE)).writing().recalling(noted(NEWER))
    assert memory.own(MINE) == noted(MINE)
    assert memory.own(NEWER) == noted(NEWER)
    assert memory.own(None) is None
    assert memory.latest == noted(NEWER)
    assert memory.recalling(None) == memory


def test_the_intent_that_another_delivery_noted_since_counts() -> None:
    """Rule 6.6: both wrote the same digest, and the ledger knows over which one the last write was made."""
    made = noted(MINE, None, protective_tag="1.merged-a", protective_tag_created=True)
    memory = Memory().remembering(made).writing().recalling(noted(MINE, NEWER, protective_tag="1.merged-a"))
    assert memory.own(MINE) == noted(MINE, NEWER, protective_tag="1.merged-a", protective_tag_created=True)
    other = Memory().remembering(made).writing().recalling(noted(NEWER))
    assert other.protective_tags() == ["1.merged-a"]


def test_a_tag_that_stays_is_the_work_of_this_push_or_of_nobody() -> None:
    """Rule 7.7."""
    assert Memory().recalling(noted(MERGED)).left(decided(MERGED)) == noted(MERGED)
    left = Memory().left(decided(MERGED))
    assert (left.action, left.old_digest, left.new_digest) == ("unchanged", MERGED, MERGED)


def test_protective_tags_of_merges_that_did_not_last_are_known() -> None:
    """Rule 4.8: undo, and a push that fails, delete them."""
    first = noted(MERGED, protective_tag="1.merged-a", protective_tag_created=True)
    memory = Memory().remembering(first)
    second = memory.intent(decided(NEWER), held(THEIRS))
    assert second.overtaken == {"1.merged-a": MERGED}
    assert memory.made_protection(MERGED)
    assert not memory.made_protection(NEWER)
    assert memory.remembering(second).protective_tags() == ["1.merged-a"]
    assert Memory().protective_tags() == []
    theirs = noted(MERGED, protective_tag="1.merged-a", protective_tag_created=False)
    assert Memory().remembering(theirs).protective_tags() == []
    assert memory.intent(decided(MERGED), held(THEIRS)).overtaken == {}


@pytest.mark.parametrize(
    ("record", "held_", "lost"),
    [
        pytest.param(TagRecord(), MINE, None, id="nothing is known"),
        pytest.param(TagRecord(NEWER), None, None, id="the tag is absent"),
        pytest.param(TagRecord(NEWER), NEWER, None, id="the last write is there"),
        pytest.param(TagRecord(NEWER), THEIRS, None, id="someone else wrote it"),
        pytest.param(TagRecord(NEWER, {MINE: frozenset({None})}), MINE, NEWER, id="a late write, begun on a new tag"),
        pytest.param(TagRecord(NEWER, {MINE: frozenset({THEIRS})}), MINE, NEWER, id="a late write over a newer one"),
        pytest.param(TagRecord(NEWER, {MINE: frozenset({NEWER})}), MINE, None, id="a write that came to replace it"),
        pytest.param(
            TagRecord(NEWER, {MINE: frozenset({NEWER, THEIRS})}), MINE, NEWER, id="two writers of one digest, one late"
        ),
        pytest.param(TagRecord(None, {MINE: frozenset({None})}), MINE, None, id="no write was ever verified"),
    ],
)
def test_a_late_write_is_told_from_others(record: TagRecord, held_: Digest | None, lost: Digest | None) -> None:
    """Rule 7.6."""
    assert record.overwritten_by(held_) == lost


@pytest.mark.parametrize(
    ("record", "push_id"),
    [
        pytest.param(TagRecord(), None, id="nothing is known"),
        pytest.param(TagRecord(MINE, {}, ONE), "p", id="it was verified by a push"),
        pytest.param(TagRecord(MINE), None, id="someone else wrote it"),
        pytest.param(TagRecord(NEWER, {}, ONE, {}, {MINE: frozenset({TWO})}), "q", id="one push has begun to write it"),
        pytest.param(TagRecord(NEWER, {}, ONE, {MINE: frozenset({TWO})}), None, id="it was announced and not begun"),
        pytest.param(
            TagRecord(None, {}, None, {}, {MINE: frozenset({ONE, TWO})}), None, id="two have begun to write it"
        ),
    ],
)
def test_the_push_that_wrote_an_image_is_told_from_others_of_the_same_image(
    record: TagRecord, push_id: str | None
) -> None:
    """Rules 6.1, 6.6: an undo leaves alone what another push wrote."""
    assert record.push_that_wrote(MINE) == push_id


def test_a_write_that_was_announced_and_is_under_way_no_more_was_verified() -> None:
    """Rule 7.7: a repeat reports the move, whatever others built on it."""
    assert TagRecord(NEWER, {}, TWO).has_verified(MINE, ONE, by_another=False)
    assert not TagRecord(NEWER, {}, TWO, {MINE: frozenset({ONE})}).has_verified(MINE, ONE, by_another=False)
    assert not TagRecord().has_verified(MINE, ONE, by_another=False)


def test_the_write_of_this_delivery_says_nothing_of_that_of_another_one() -> None:
    """Rule 7.7: a delivery that stood still finds that others built on what another delivery of its push wrote."""
    this, other = Writer("p", "this delivery"), Writer("p", "other delivery")
    for writers, verified in (({this}, True), ({other}, False), ({this, other}, False)):
        record = TagRecord(NEWER, {}, TWO, {MINE: frozenset(writers)})
        assert record.has_verified(MINE, this, by_another=True) == verified


def test_a_write_that_another_push_saw_was_made_by_the_one_that_began_it() -> None:
    """Rules 7.7, 10.6: the delivery that wrote stands still, or is dead, before it notes that it did."""
    record = TagRecord(NEWER, {}, TWO, {MINE: frozenset({ONE})}, {MINE: frozenset({ONE})}, frozenset({MINE}))
    assert record.has_verified(MINE, ONE, by_another=False)
    both = msgspec.structs.replace(record, begun={MINE: frozenset({ONE, TWO})})
    assert not both.has_verified(MINE, ONE, by_another=False)


def test_what_another_delivery_noted_likewise_may_be_the_work_of_this_push() -> None:
    """Rules 6.1, 7.3: each delivery names itself in its intent; one that did not write knows nothing of the other."""
    mine, other = (noted(MINE, None, by=name) for name in ("this delivery", "another delivery"))
    memory = Memory().remembering(mine)
    assert memory.recalling(mine).own(MINE) is None
    assert memory.recalling(other).own(MINE) == other
    assert memory.recalling(other, has_written=False).own(MINE) is None
    assert memory.recalling(mine, has_written=True).own(MINE) == mine


def test_an_intent_of_an_earlier_run_was_written() -> None:
    """Rule 6.6: that run ended with a report; an undo goes by it, and a release that is put back does not forget it."""
    settled = noted(MINE, None, settled=True)
    memory = Memory().recalling(settled, has_written=False)
    assert (memory.own(MINE), memory.is_idle, memory.forgotten()) == (settled, False, None)


@pytest.mark.parametrize(
    ("memory", "may"),
    [
        pytest.param(Memory(), False, id="nothing was noted"),
        pytest.param(Memory().remembering(noted(MINE)), False, id="noted, and not begun"),
        pytest.param(Memory().remembering(noted(MINE)).writing(), True, id="begun"),
        pytest.param(Memory().recalling(noted(MINE)), True, id="noted by another delivery"),
        pytest.param(Memory().recalling(noted(MINE), has_written=False), False, id="no delivery has begun"),
        pytest.param(Memory().recalling(noted(MINE, settled=True)), False, id="of an earlier run, which has a report"),
        pytest.param(
            Memory().recalling(TagIntent(action="unchanged", old_digest=MINE, new_digest=MINE)), False, id="no change"
        ),
    ],
)
def test_whether_the_push_may_have_written_is_known(memory: Memory, may: bool) -> None:
    """Rule 6.1: a failed tag that may have moved says so."""
    assert memory.may_have_written is may


def test_a_late_deletion_is_told_from_someone_elses() -> None:
    """Rule 7.6: a roll-back that stood still deletes what another push has written since."""
    late = TagRecord(NEWER, {DELETED: frozenset({MINE})}, TWO)
    assert late.overwritten_by(None) == NEWER
    assert TagRecord(NEWER, {DELETED: frozenset({NEWER})}, TWO).overwritten_by(None) is None
    assert TagRecord(NEWER, {}, TWO).overwritten_by(None) is None
    assert TagRecord(None, {DELETED: frozenset({MINE})}).overwritten_by(None) is None
