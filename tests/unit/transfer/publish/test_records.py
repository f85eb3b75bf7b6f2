"""The records of a push in the ledger, when two deliveries of it meet (BEHAVIOUR 7.3)."""

from collections.abc import Iterator
from typing import Any

import pytest

from tasks.contract import PushReport, Totals
from tasks.coordination.ledger import HashLedger
from tasks.coordination.local.sqlite import FileHashes
from tasks.errors import LockLost, LockUnavailable, PartBusy, Retry
from tasks.oci.digest import Digest, digest_of
from tasks.registry.manifest_answer import FetchedManifest
from tasks.transfer.ports import TagIntent
from tasks.transfer.publish.journal import Direction
from tasks.transfer.publish.records import LedgerIntents, LedgerJournal
from tasks.transfer.undo.sharing import Sharing, deleting

FIRST, SECOND = (
    TagIntent(action="copied", old_digest=None, new_digest=Digest(digest)) for digest in ("sha256:1", "sha256:2")
)


@pytest.fixture
def ledger() -> Iterator[HashLedger]:
    hashes = FileHashes(None, 60)
    yield HashLedger(hashes)
    hashes.close()


@pytest.fixture
def intents(ledger: HashLedger) -> LedgerIntents:
    return LedgerIntents(ledger, "p", "b.example/app:1")


def test_the_intent_of_another_delivery_is_not_lost(intents: LedgerIntents) -> None:
    """Rule 7.3: a delivery may stand still between its look at the lock and its intent."""
    intents.note(FIRST, None, None)
    with pytest.raises(LockLost):
        intents.note(SECOND, None, None)
    assert intents.read() == FIRST
    intents.note(SECOND, None, FIRST)
    assert intents.read() == SECOND


def test_an_intent_may_be_noted_twice(intents: LedgerIntents) -> None:
    """Rule 7.3: nobody heard that it was noted."""
    intents.note(FIRST, None, None)
    intents.note(FIRST, None, None)
    assert intents.read() == FIRST


def test_a_push_that_ended_is_not_open(intents: LedgerIntents) -> None:
    """Rules 6.1 and 10.1: a delivery may stand still until the watchdog, or another delivery, ended the push."""
    intents.ensure_open()
    intents.ledger.finish(PushReport(push_id="p", state="failed", items=[], totals=Totals()))
    with pytest.raises(PartBusy) as refused:
        intents.ensure_open()
    assert refused.value.retry is Retry.GIVE_BACK


@pytest.mark.parametrize("direction", ["forward", "back", "return"])
def test_a_tag_of_a_release_that_has_not_ended_is_not_built_upon(ledger: HashLedger, direction: Direction) -> None:
    """Rule 10.1: its worker is gone, and its locks with it; what it wrote may be put back."""
    first, second = (LedgerJournal(ledger, push_id, "push") for push_id in ("p", "q"))
    first.claim(["b.example/app:1", "b.example/app:2"])
    first.note(direction)
    with pytest.raises(LockUnavailable, match=r"b\.example/app:2 .* push p,"):
        second.claim(["b.example/app:2", "b.example/app:3"])
    LedgerJournal(ledger, "another", "push").claim(["b.example/app:3"])
    first.claim(["b.example/app:1", "b.example/app:2"])
    ledger.finish(PushReport(push_id="p", state="failed", items=[], totals=Totals()))
    second.claim(["b.example/app:2"])


@pytest.mark.parametrize("direction", [None, "stands", "again"])
def test_a_tag_of_a_release_that_moved_none_or_all_is_free(ledger: HashLedger, direction: Direction | None) -> None:
    """Rule 10.1."""
    first, second = (LedgerJournal(ledger, push_id, "push") for push_id in ("p", "q"))
    first.claim(["b.example/app:1"])
    if direction is not None:
        first.note(direction)
    second.claim(["b.example/app:1"])


@pytest.mark.parametrize("direction", ["forward", "back", "return"])
def test_a_single_tag_waits_for_the_release_that_may_put_it_back(
    ledger: HashLedger, intents: LedgerIntents, direction: Direction
) -> None:
    """Rule 10.1: its lock is free, since the worker of the release is gone."""
    journal = LedgerJournal(ledger, "release", "push")
    journal.claim([intents.reference])
    intents.ensure_settled()
    journal.note(direction)
    with pytest.raises(LockUnavailable, match="release of the push release,") as waited:
        intents.ensure_settled()
    assert waited.value.retry is Retry.WAIT
    LedgerIntents(ledger, "release", intents.reference).ensure_settled()
    ledger.mark_undone("release", "begun")
    with pytest.raises(LockUnavailable):
        intents.ensure_settled()
    ledger.mark_undone("release", "succeeded")
    intents.ensure_settled()


def test_the_direction_that_another_delivery_noted_is_not_lost(ledger: HashLedger) -> None:
    """Rules 7.3, 10.1: a delivery stood still before it began, and the release went back and ended meanwhile."""
    late, other = (LedgerJournal(ledger, "p", "push") for _ in range(2))
    assert (late.read(), other.read()) == (None, None)
    other.note("forward")
    other.note("back", "It was refused.")
    with pytest.raises(LockLost):
        late.note("forward")
    assert (late.read(), late.why()) == ("back", "It was refused.")
    late.note("back", "It was refused again.")


def test_a_need_that_is_noted_after_the_end_of_its_push_does_not_count(ledger: HashLedger) -> None:
    """Rule 4.8: the process stood still before it noted the need; an undo of another push deletes the tag."""
    first, second = (Sharing(ledger, push_id) for push_id in ("p", "q"))
    tag, digest = "b.example/app:1.merged-1", digest_of(b"{}")
    second.need(tag)
    assert first.is_shared(tag)
    ledger.finish(PushReport(push_id="q", state="failed", items=[], totals=Totals()))
    assert not first.is_shared(tag)
    intent = TagIntent(action="merged", old_digest=None, new_digest=digest, protective_tag="1.merged-1")
    ledger.record_intent("q", "b.example/app:1", intent)
    assert first.is_shared(tag)


def test_a_protective_tag_that_another_push_began_to_need_is_written_again(ledger: HashLedger) -> None:
    """Rule 4.8: the process stood still between the look at the needs and the deletion."""
    first, second = (Sharing(ledger, push_id) for push_id in ("p", "q"))
    found = FetchedManifest(b"{}", "m", digest_of(b"{}"))
    tags = {"1.merged-1": found}

    class Tags:
        def fetch_manifest(self, tag: str) -> FetchedManifest:
            return tags[tag]

        def push_manifest(self, tag: str, content: bytes, media_type: str) -> None:
            tags[tag] = FetchedManifest(content, media_type, digest_of(content))

    repository: Any = Tags()
    for needed in (False, True):
        assert not first.need("b.example/app:1.merged-1")
        with deleting(repository, "1.merged-1", lambda: first.is_shared("b.example/app:1.merged-1")):
            assert not first.give_up("b.example/app:1.merged-1")
            assert not (needed and second.need("b.example/app:1.merged-1"))
            del tags["1.merged-1"]
        assert tags == ({"1.merged-1": found} if needed else {})
        tags["1.merged-1"] = found
    assert first.need("b.example/app:1.merged-1")
    assert second.give_up("b.example/app:1.merged-1")


def test_whoever_needed_a_protective_tag_that_its_maker_left_deletes_it(ledger: HashLedger) -> None:
    """Rule 4.8: the worker of the first push was killed when it had noted no more than its need."""
    first, second, third = (Sharing(ledger, push_id) for push_id in "pqr")
    tag = "b.example/app:1.merged-1"
    assert not first.need(tag)
    assert second.need(tag)
    assert second.give_up(tag)
    assert first.need(tag)
    assert not first.give_up(tag)
    assert not third.need(tag)


def test_a_delivery_that_stood_still_does_not_take_the_direction_of_another_one_for_its_own(ledger: HashLedger) -> None:
    """Rule 10.1: it would put back a release that the other one has brought to its end."""
    late, other = (LedgerJournal(ledger, "p", "push") for _ in range(2))
    assert late.read() is None
    late.note("forward")
    assert late.again() == "forward"
    assert other.read() == "forward"
    other.note("stands")
    with pytest.raises(LockLost):
        late.again()
    assert late.read() == late.again() == "stands"


def test_a_protective_tag_that_another_delivery_of_the_push_began_to_need_is_needed(ledger: HashLedger) -> None:
    """Rule 4.8: the one that deletes it has given it up, and stood still."""
    push, tag = Sharing(ledger, "p"), "b.example/app:1.merged-1"
    assert not push.need(tag)
    assert not push.give_up(tag)
    assert not push.is_needed_again(tag)
    assert not push.need(tag)
    assert push.is_needed_again(tag)
