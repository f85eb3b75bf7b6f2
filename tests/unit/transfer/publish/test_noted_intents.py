"""The intents of a push at one tag, in the log and in the memory of one delivery (BEHAVIOUR 6.6, 7.3, 7.7)."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.errors import LockLost, PushUndone
from tasks.oci import media_types
from tasks.oci.digest import Digest
from tasks.transfer.plan.decide import Current, Decision
from tasks.transfer.ports import TagIntent
from tasks.transfer.publish.intent_memory import Memory
from tasks.transfer.publish.noted_intents import NotedIntents
from tests.support.intents import MemoryIntents

BEFORE, THEIRS, MINE, LATER = (Digest(f"sha256:{name}") for name in ("before", "theirs", "mine", "later"))
REPLACED = Current(BEFORE, media_types.OCI_INDEX, b"{}")


def noted(new: Digest, **more: Any) -> TagIntent:
    return TagIntent(action="merged", old_digest=BEFORE, new_digest=new, **more)


def found(digest: Digest) -> Decision:
    return Decision("unchanged", Current(digest, media_types.OCI_INDEX, b"{}"))


@pytest.fixture
def log() -> MemoryIntents:
    return MemoryIntents()


@pytest.fixture
def intents(log: MemoryIntents) -> NotedIntents:
    return NotedIntents(log)


def test_a_new_delivery_knows_nothing_before_it_reads(intents: NotedIntents, log: MemoryIntents) -> None:
    """Rule 7.3."""
    log.noted = noted(MINE)
    assert (intents.memory, intents.run_is_idle) == (Memory(), False)
    intents.recall()
    assert (intents.memory.latest, intents.memory.own(MINE)) == (noted(MINE), noted(MINE))


@pytest.mark.parametrize(
    ("has_written", "own", "idle"),
    [
        pytest.param(True, True, False, id="a delivery of this run came to write"),
        pytest.param(False, False, True, id="none did"),
        pytest.param(None, True, False, id="not known"),
    ],
)
def test_whether_the_run_came_to_write_decides_on_an_intent(
    intents: NotedIntents, log: MemoryIntents, has_written: bool | None, own: bool, idle: bool
) -> None:
    """Rule 6.6."""
    log.noted = noted(MINE)
    intents.recall(has_written=has_written)
    assert (intents.memory.own(MINE) is not None, intents.run_is_idle) == (own, idle)


def test_what_was_told_stays_known_at_the_next_look(intents: NotedIntents, log: MemoryIntents) -> None:
    """Rule 6.6: a look that does not know changes nothing."""
    log.noted = noted(MINE)
    intents.recall(has_written=False)
    intents.recall()
    assert (intents.memory.own(MINE), intents.run_is_idle) == (None, True)


def test_each_note_names_the_intent_that_was_known_before(intents: NotedIntents, log: MemoryIntents) -> None:
    """Rule 7.3: so it never replaces that of another delivery."""
    log.noted = noted(THEIRS)
    intents.recall()
    intents.note(noted(MINE), REPLACED)
    intents.note(noted(LATER), None)
    intents.note_unchanged(found(BEFORE))
    assert log.known[:3] == [noted(THEIRS), noted(MINE), noted(LATER)]
    unchanged = log.noted
    assert unchanged is not None
    intents.note(noted(MINE), None)
    assert log.known[3] == unchanged
    assert log.replaced == [REPLACED]


def test_a_noted_intent_is_pending_until_the_write_begins(intents: NotedIntents) -> None:
    """Rule 6.1: until then another push of the same image may have written it."""
    intents.note(noted(MINE), REPLACED)
    assert (intents.memory.latest, intents.memory.own(MINE)) == (noted(MINE), None)
    intents.begin_writing()
    assert intents.memory.own(MINE) == noted(MINE)


@pytest.mark.parametrize("refusal", [LockLost("Another delivery moved it."), PushUndone("It was taken back.")])
def test_an_intent_that_was_refused_is_not_remembered(
    intents: NotedIntents, log: MemoryIntents, refusal: LockLost | PushUndone
) -> None:
    """Rule 6.6."""
    notes: list[Callable[[], None]] = [
        lambda: intents.note(noted(MINE), None),
        lambda: intents.note_unchanged(found(MINE)),
    ]
    for note in notes:
        log.refusal = refusal
        with pytest.raises(type(refusal)):
            note()
        assert intents.memory == Memory()
    intents.note(noted(MINE), None)
    assert log.known == [None]


def test_a_tag_that_others_made_right_is_noted_as_unchanged(intents: NotedIntents, log: MemoryIntents) -> None:
    """Rules 7.7, 10.1."""
    intents.note_unchanged(found(THEIRS))
    assert log.noted == TagIntent(action="unchanged", old_digest=THEIRS, new_digest=THEIRS)
    assert (intents.memory.latest, intents.memory.pending) == (log.noted, None)
    assert log.replaced == []


@pytest.mark.parametrize(
    ("has_written", "is_mine", "own"),
    [
        pytest.param(None, True, True, id="mine, as was thought"),
        pytest.param(None, False, False, id="of another push"),
        pytest.param(False, True, False, id="of an earlier run: this one has certainly not begun to write"),
        pytest.param(False, False, False, id="of another push, and this one has not begun"),
        pytest.param(True, False, False, id="of another push, though this one came to write"),
    ],
)
def test_the_writer_of_an_image_decides_whose_work_it_is(
    intents: NotedIntents, log: MemoryIntents, has_written: bool | None, is_mine: bool, own: bool
) -> None:
    """Rule 6.6."""
    log.noted = noted(MINE)
    intents.recall(has_written=has_written)
    intents.tell(is_mine=is_mine)
    assert (intents.memory.own(MINE) is not None) == own


def test_what_an_earlier_run_wrote_may_turn_out_to_be_that_of_another_push(
    intents: NotedIntents, log: MemoryIntents
) -> None:
    """Rule 6.6: the same image, written again since by somebody else."""
    log.noted = noted(MINE, settled=True)
    intents.recall(has_written=False)
    assert intents.memory.own(MINE) == log.noted
    intents.tell(is_mine=False)
    assert intents.memory.own(MINE) is None


def test_an_intent_may_turn_out_to_be_mine(intents: NotedIntents) -> None:
    """Rule 6.6: the record of the tag says that another delivery of this push wrote it."""
    intents.note(noted(MINE), None)
    intents.tell(is_mine=True)
    assert intents.memory.own(MINE) == noted(MINE)


def test_a_tag_that_was_put_back_is_forgotten_with_what_the_log_has(intents: NotedIntents, log: MemoryIntents) -> None:
    """Rule 6.6: the last intent may be one of another delivery, whose protective tag stays known."""
    intents.note(noted(MINE), None)
    intents.begin_writing()
    log.noted = other = noted(LATER, protective_tag="1.merged-later", protective_tag_created=True)
    intents.forget()
    assert log.known[-1] == other
    assert log.noted.new_digest == BEFORE
    assert not log.noted.changes
    assert intents.memory == Memory().recalling(log.noted)
    assert intents.memory.protective_tags() == ["1.merged-later"]


def test_a_tag_that_was_found_right_is_forgotten_with_what_it_holds(intents: NotedIntents, log: MemoryIntents) -> None:
    """Rule 10.1."""
    intents.note(noted(MINE), None)
    intents.forget(found(THEIRS))
    assert log.noted is not None
    assert (log.noted.changes, log.noted.new_digest) == (False, THEIRS)
    intents.note(noted(LATER), None)
    known = log.known[-1]
    assert known is not None
    assert known.new_digest == THEIRS


@pytest.mark.parametrize("earlier", [None, noted(MINE, settled=True)], ids=["nothing", "of an earlier run"])
def test_nothing_is_forgotten_that_this_run_did_not_note(
    intents: NotedIntents, log: MemoryIntents, earlier: TagIntent | None
) -> None:
    """Rule 6.6: what an earlier run reported stays to be undone."""
    log.noted = earlier
    intents.forget()
    assert (log.noted, log.known) == (earlier, [])
    assert intents.memory.latest == earlier


def test_an_undo_that_began_meanwhile_does_not_stop_the_forgetting(intents: NotedIntents, log: MemoryIntents) -> None:
    """Rule 6.6: it is noticed before the next write."""
    intents.note(noted(MINE), None)
    log.refusal = PushUndone("It was taken back.")
    intents.forget()
    assert intents.memory.own(MINE) is None


def test_a_forgetting_that_another_delivery_overtook_is_not_remembered(
    intents: NotedIntents, log: MemoryIntents
) -> None:
    """Rule 7.3."""
    intents.note(noted(MINE), None)
    intents.begin_writing()
    log.refusal = LockLost("Another delivery moved it.")
    with pytest.raises(LockLost):
        intents.forget()
    assert intents.memory.own(MINE) == noted(MINE)
