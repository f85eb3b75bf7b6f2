"""The ledger on real Redis and on a file: the same words for both."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis

from tasks.contract import CopyProgress, Fault, PushReport, TagReport, Totals, Waiting
from tasks.coordination.hashes import Hashes
from tasks.coordination.ledger import HashLedger
from tasks.coordination.local.sqlite import FileHashes
from tasks.coordination.redis.hashes import RedisHashes
from tasks.errors import PushUnknown, RateLimited, Side
from tasks.oci.digest import Digest, digest_of
from tasks.oci.platform import Platform
from tasks.transfer.plan.plan import Plan, PlannedItem
from tasks.transfer.plan.tag_facts import TagRelease
from tasks.transfer.ports import CopyOutcome, EarlierTag, Intervention, TagIntent, TakenCopy
from tests.support.plans import failed_item, planned_copy, planned_tag, resolved_item
from tests.support.redis_server import RedisServer

BUSY = RateLimited("busy", 300.0, Side.SOURCE)

REFUSAL = Fault("request_invalid", "items is missing.")


@pytest.fixture(params=["redis", "file"])
def hashes(request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path) -> Iterator[Hashes]:
    if request.param == "redis":
        redis_server.flush()
        with redis.Redis.from_url(redis_server.url) as client:
            yield RedisHashes(client, 60)
    else:
        made = FileHashes(tmp_path / "state" / "ledger.sqlite3", 60)
        yield made
        made.close()


@pytest.fixture
def ledger(hashes: Hashes) -> HashLedger:
    return HashLedger(hashes)


def plan_of(push_id: str, *digests: str) -> Plan:
    tag = planned_tag("b.example/x:1", error=BUSY)
    items: list[PlannedItem] = [
        resolved_item(tag, needs=digests, eligible=(Platform("linux", "arm64"),)),
        failed_item(BUSY, tag),
    ]
    return Plan(push_id=push_id, created=1.5, items=items, copies=[planned_copy(digest) for digest in digests])


def test_a_push_waits_until_something_is_heard_of_it(hashes: Hashes) -> None:
    """Rule 8.6: the look whether a registry serves again is part of the wait."""
    now = 1000.0
    ledger = HashLedger(hashes, lambda: now)
    ledger.accept("p", {}, "task")
    ledger.save_plan(plan_of("p", "sha256:a"))
    waiting = Waiting(reason=Fault.of(BUSY), since=1000.0, until=1060.0)
    ledger.wait("p", "sha256:a", waiting)

    def seen() -> tuple[str, Waiting | None]:
        progress = ledger.progress("p")
        return progress.state, progress.waiting

    assert seen() == ("waiting", waiting)
    now = 1065.0
    assert seen() == ("waiting", waiting)
    ledger.record_progress("p", CopyProgress(digest="sha256:a", done=1, total=2))
    assert seen() == ("copying", None)
    again = Waiting(reason=Fault.of(BUSY), since=1066.0, until=1100.0)
    ledger.wait("p", "sha256:a", again)
    now = 1200.0
    # A part that nobody goes on with is the watchdog's.
    assert seen() == ("copying", None)


def test_a_push_that_is_held_up_goes_on_with_what_is_left_to_wait_for(hashes: Hashes) -> None:
    ledger = HashLedger(hashes, lambda: 1000.0)
    ledger.accept("p", {}, "task")
    ledger.save_plan(plan_of("p", "sha256:a"))
    ledger.begin("p", "b/x:1")
    for part, until in (("b/x:1", 1060.0), ("b/x:2", 1050.0)):
        ledger.hold_up("p", part, Waiting(reason=Fault.of(BUSY), since=until - 60, until=until))
    assert ledger.open_pushes()[0].quiet_since == 1050.0
    # It is still in its worker.
    assert ledger.lost("p", ["b/x:1"]) == [1]
    ledger.go_on("p", "b/x:2")
    assert ledger.open_pushes()[0].quiet_since == 1060.0
    assert ledger.progress("p").state == "waiting"
    ledger.go_on("p", "b/x:1")
    assert ledger.open_pushes()[0].quiet_since == 1000.0
    assert ledger.progress("p").state == "copying"


def test_what_is_recorded_is_read_again(ledger: HashLedger) -> None:
    ledger.accept("p", {"items": [1]}, "task")
    ledger.save_plan(plan_of("p", "sha256:a", "sha256:b"))
    content = b'{ "exact": "bytes" }\x00'
    ledger.keep_content("p", digest_of(content), content)
    outcome = CopyOutcome(digest="sha256:a", errors={"b/x": BUSY}, totals=Totals(bytes_copied=3))
    ledger.record_copy("p", outcome, CopyProgress(digest="sha256:a", ended=True))
    intent = TagIntent(action="merged", old_digest=None, new_digest=Digest("sha256:n"), kept_platforms=["linux/arm"])
    assert ledger.record_intent("p", "b/x:1", intent) is None
    assert ledger.record_intent("p", "b/x:1", intent) == intent
    ledger.record_tag("p", "0 b/x:1", TagReport(reference="b/x:1", action="merged"))
    report = PushReport(push_id="p", state="partial", items=[], totals=Totals(seconds=1.25))
    ledger.finish(report)
    assert ledger.request("p") == {"items": [1]}
    assert ledger.plan("p") == plan_of("p", "sha256:a", "sha256:b")
    assert ledger.take_copy("p", "sha256:b") == TakenCopy(plan_of("p", "sha256:b").copies[0], None)
    assert ledger.content("p", digest_of(content)) == content
    assert ledger.copies("p") == {"sha256:a": outcome}
    assert ledger.intents("p") == {"b/x:1": intent}
    assert ledger.tags("p")["0 b/x:1"].action == "merged"
    assert ledger.report("p") == report


def test_progress_tells_the_state_of_a_push(ledger: HashLedger) -> None:
    ledger.accept("p", {}, "task")
    assert ledger.progress("p").state == "accepted"
    ledger.save_plan(plan_of("p", "sha256:a"))
    ledger.record_progress("p", CopyProgress(digest="sha256:a", done=1, total=2))
    assert (ledger.progress("p").state, ledger.progress("p").copies[0].done) == ("copying", 1)
    ledger.record_progress("p", CopyProgress(digest="sha256:a", done=2, total=2, ended=True))
    assert (ledger.progress("p").state, ledger.progress("p").tags) == ("publishing", 2)
    ledger.finish(PushReport(push_id="p", state="failed", items=[], totals=Totals()))
    assert ledger.progress("p").state == "failed"


def test_unknown_push_is_a_named_error(ledger: HashLedger) -> None:
    with pytest.raises(PushUnknown, match="nobody"):
        ledger.progress("nobody")


def test_pushes_are_listed_newest_first_and_kept_apart(hashes: Hashes) -> None:
    now = iter(range(1, 100))
    ledger = HashLedger(hashes, clock=lambda: float(next(now)))
    for push_id in ("one", "two", "three"):
        ledger.accept(push_id, {}, "task")
    ledger.accept("one", {}, "task")
    assert [push.push_id for push in ledger.pushes()] == ["three", "two", "one"]


def test_reopened_push_forgets_its_end_but_not_its_intents(ledger: HashLedger) -> None:
    """Rules 6.5 and 6.6: a push that is run again still knows the digests that it replaced."""
    ledger.accept("p", {"items": []}, "task")
    ledger.save_plan(plan_of("p", "sha256:a"))
    ledger.record_copy("p", CopyOutcome(digest="sha256:a"), CopyProgress(digest="sha256:a", ended=True))
    ledger.record_intent(
        "p", "b/x:1", TagIntent(action="copied", old_digest=Digest("sha256:o"), new_digest=Digest("sha256:n"))
    )
    ledger.record_tag("p", "0 b/x:1", TagReport(reference="b/x:1", action="copied"))
    ledger.finish(PushReport(push_id="p", state="partial", items=[], totals=Totals()))
    ledger.reopen("p")
    assert (ledger.report("p"), ledger.plan("p"), ledger.copies("p"), ledger.tags("p")) == (None, None, {}, {})
    assert ledger.take_copy("p", "sha256:a") == TakenCopy(None, None)
    assert ledger.earlier_tags("p") == {"b/x:1": EarlierTag(TagReport(reference="b/x:1", action="copied"), True)}
    assert ledger.intents("p")["b/x:1"].old_digest == "sha256:o"


def test_the_first_plan_of_a_push_stays(ledger: HashLedger) -> None:
    """Rule 7.3: a delivery that stood still plans after another one, whose copies are under way."""
    ledger.accept("p", {"items": []}, "task")
    first, late = plan_of("p", "sha256:a"), plan_of("p", "sha256:a", "sha256:b")
    assert ledger.save_plan(first) == first
    assert ledger.save_plan(late) == first
    assert ledger.plan("p") == first
    ledger.reopen("p")
    assert ledger.save_plan(late) == late


def test_what_another_delivery_noted_stays(ledger: HashLedger) -> None:
    """Rules 7.3, 10.1: it is never away, not even for the moment in which a process may be killed."""
    ledger.accept("p", {"items": []}, "task")
    ours, theirs = (TagIntent(action="copied", old_digest=None, new_digest=Digest(f"sha256:{name}")) for name in "ot")
    assert ledger.record_intent("p", "b/x:1", ours, over=[ours]) is None
    assert ledger.record_intent("p", "b/x:1", theirs, over=[theirs]) == ours
    assert ledger.intent("p", "b/x:1") == ours
    assert ledger.record_intent("p", "b/x:1", theirs, over=[ours, theirs]) == ours
    assert ledger.intent("p", "b/x:1") == theirs
    for direction, over, left in (("forward", [], "forward"), ("back", [], "forward"), ("back", ["forward"], "back")):
        ledger.note_release("p", "push", direction, over)
        assert ledger.release("p", "push") == left
    first, late = (TagReport(reference="b/x:1", action=action) for action in ("copied", "unchanged"))
    assert [ledger.record_tag("p", "0 b/x:1", tag) for tag in (first, late)] == [first, first]
    assert ledger.tags("p") == {"0 b/x:1": first}
    reports = [PushReport(push_id="p", state=state, items=[], totals=Totals()) for state in ("partial", "failed")]
    assert [ledger.finish(each).state for each in reports] == ["partial", "partial"]
    assert [each.state for each in (ledger.report("p"),) if each is not None] == ["partial"]


def test_an_intent_that_another_version_noted_in_other_words_is_known(ledger: HashLedger, hashes: Hashes) -> None:
    ledger.accept("p", {"items": []}, "task")
    intent = TagIntent(action="copied", old_digest=None, new_digest=Digest("sha256:a"))
    changed = msgspec.structs.replace(intent, new_digest=Digest("sha256:b"))
    words = b'{"new_digest":"sha256:a","old_digest":null,"action":"copied"}'
    hashes.put({"imagepusher:push:p/intents": {"b/x:1": words}})
    assert ledger.record_intent("p", "b/x:1", changed, over=[intent]) == intent
    assert ledger.intent("p", "b/x:1") == changed


@pytest.mark.parametrize("ended", [False, True])
def test_half_a_release_is_still_to_be_ended_by_the_next_run(ledger: HashLedger, ended: bool) -> None:
    """Rules 7.8 and 10.1: its command was interrupted; the release of a push that ended is over."""
    ledger.accept("p", {"items": []}, "task")
    ledger.note_release("p", "item 0", "forward")
    ledger.note_release("p", "item 1", "stands")
    ledger.note_release_at("b/x:1", "p", "item 0")
    if ended:
        ledger.finish(PushReport(push_id="p", state="partial", items=[], totals=Totals()))
    ledger.reopen("p")
    assert ledger.release("p", "item 0") == (None if ended else "forward")
    assert ledger.release("p", "item 1") is None
    assert ledger.release_at("b/x:1") == TagRelease("p", "item 0", ledger.release("p", "item 0"))


def test_the_first_report_of_a_push_and_of_a_tag_stays(ledger: HashLedger) -> None:
    """Rule 7.3: a delivery that stood still ends after another one, and knows less of what the push did."""
    ledger.accept("p", {"items": []}, "task")
    moved, unchanged = (TagReport(reference="b/x:1", action=action) for action in ("copied", "unchanged"))
    assert ledger.record_tag("p", "0 b/x:1", moved) == moved
    assert ledger.record_tag("p", "0 b/x:1", unchanged) == moved
    assert ledger.tags("p") == {"0 b/x:1": moved}
    first, second = (
        PushReport(push_id="p", state=state, items=[], totals=Totals()) for state in ("failed", "succeeded")
    )
    assert ledger.finish(first) == first
    assert ledger.finish(second) == first
    assert (ledger.report("p"), ledger.progress("p").state) == (first, "failed")
    ledger.reopen("p")
    assert ledger.finish(second) == second


def test_every_redis_key_has_the_prefix_and_expires(redis_server: RedisServer) -> None:
    redis_server.flush()
    with redis.Redis.from_url(redis_server.url) as client:
        ledger = HashLedger(RedisHashes(client, 60))
        ledger.accept("p", {}, "task")
        ledger.save_plan(plan_of("p", "sha256:a"))
        ledger.record_copy("p", CopyOutcome(digest="sha256:a"), CopyProgress(digest="sha256:a", ended=True))
        keys = list(client.scan_iter())
        assert len(keys) >= 4
        for key in keys:
            assert key.startswith(b"imagepusher:")
            assert 0 < int(str(client.ttl(key))) <= 60


def test_another_process_reads_the_file_that_one_writes(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    writer, reader = FileHashes(path, 60), FileHashes(path, 60)
    HashLedger(writer).accept("p", {"a": 1}, "task")
    assert HashLedger(reader).request("p") == {"a": 1}
    assert (path.stat().st_mode & 0o077) == 0
    writer.close()
    reader.close()


def test_a_push_is_forgotten_when_its_time_is_over(tmp_path: Path) -> None:
    hashes = FileHashes(tmp_path / "ledger.sqlite3", -1)
    HashLedger(hashes).accept("p", {}, "task")
    assert HashLedger(hashes).pushes() == []
    hashes.close()


def test_an_announced_push_is_watched_until_a_worker_takes_it_on_or_it_is_invalid(hashes: Hashes) -> None:
    """Rule 7.5: a message that is lost before a worker has noted it leaves a push that somebody looks after."""
    ledger = HashLedger(hashes, clock=lambda: 7.0)
    ledger.enqueue("p", {"items": [1]}, "task")
    (push,) = ledger.open_pushes()
    assert (push.task_id, push.known, push.planned, push.ended, push.quiet_since) == ("task", True, False, False, 7.0)


def test_a_refused_push_is_known_with_its_fault_and_nobody_looks_after_it(ledger: HashLedger) -> None:
    ledger.enqueue("p", {"items": [1]}, "task")
    ledger.refuse("p", REFUSAL)
    assert (ledger.open_pushes(), ledger.overlooked(), ledger.request("p")) == ([], [], None)
    assert [(push.push_id, push.state) for push in ledger.pushes()] == [("p", "refused")]
    assert ledger.refusal("p") == REFUSAL
    assert ledger.report("p") is None


def test_a_refused_push_that_is_sent_again_is_refused_no_more(ledger: HashLedger) -> None:
    for send in (ledger.enqueue, ledger.accept):
        ledger.refuse("p", REFUSAL)
        send("p", {"items": [2]}, "task")
        assert ledger.progress("p").state in {"enqueued", "accepted"}
        assert ledger.refusal("p") is None


def test_a_push_that_was_taken_on_is_not_refused(ledger: HashLedger) -> None:
    """Its id belongs to the request that was valid."""
    ledger.accept("p", {"items": [1]}, "task")
    ledger.refuse("p", REFUSAL)
    assert [push.push_id for push in ledger.open_pushes()] == ["p"]
    assert (ledger.refusal("p"), ledger.progress("p").state) == (None, "accepted")


@pytest.mark.parametrize("push_id", ["", "-p", "p q", "p\n", "p" * 129])
def test_what_cannot_be_an_id_is_never_part_of_a_key(hashes: Hashes, push_id: str) -> None:
    ledger = HashLedger(hashes)
    ledger.refuse(push_id, REFUSAL)
    assert ledger.pushes() == []


def test_a_cancelled_push_is_so_until_it_is_run_again(ledger: HashLedger) -> None:
    ledger.accept("p", {"items": [1]}, "task")
    assert not ledger.is_cancelled("p")
    ledger.mark_cancelled("p")
    assert ledger.is_cancelled("p")
    ledger.reopen("p")
    assert not ledger.is_cancelled("p")


def test_starts_are_counted_until_they_are_settled(ledger: HashLedger) -> None:
    """Rule 7.4: what ends its worker each time is known by the starts that never came back."""
    ledger.accept("p", {}, "task")
    ledger.save_plan(plan_of("p", "sha256:a", "sha256:b"))
    for part in ("sha256:a", "sha256:a", "b/x:1"):
        ledger.begin("p", part)
    assert ledger.lost("p", ["b/x:1", "sha256:a", "sha256:b"]) == [1, 2, 0]
    assert ledger.lost("p", []) == []
    assert (ledger.take_copy("p", "sha256:a").lost, ledger.take_copy("p", "sha256:b").lost) == (2, 0)
    ledger.settle("p", "sha256:a")
    assert ledger.lost("p", ["b/x:1", "sha256:a"]) == [1, 0]
    ledger.reopen("p")
    assert ledger.lost("p", ["b/x:1"]) == [0]


def test_a_push_that_rests_is_not_quiet_before_it_is_due(hashes: Hashes) -> None:
    ledger = HashLedger(hashes, clock=lambda: 100.0)
    ledger.accept("p", {}, "task")
    ledger.wait("p", "sha256:a", Waiting(reason=Fault.of(BUSY), since=1.0, until=250.0))
    assert [push.quiet_since for push in ledger.open_pushes()] == [250.0]


def test_drives_count_until_there_is_progress(ledger: HashLedger) -> None:
    ledger.accept("p", {}, "task")
    ledger.save_plan(plan_of("p", "sha256:a"))
    for drives in range(3):
        (push,) = ledger.open_pushes()
        assert push.drives == drives
        ledger.note_drive(push)
    ledger.record_copy("p", CopyOutcome(digest="sha256:a"), CopyProgress(digest="sha256:a", ended=True))
    (push,) = ledger.open_pushes()
    assert (push.drives, push.done, push.planned) == (0, 1, True)


def test_a_push_that_the_ledger_does_not_know_is_not_brought_to_life_by_a_sign_of_life(ledger: HashLedger) -> None:
    """Rule 7.5: after Redis was emptied its producer must see that the push is gone, and send it again."""
    ledger.touch("p")
    with pytest.raises(PushUnknown):
        ledger.progress("p")


def test_a_push_is_open_until_its_result_was_stored(ledger: HashLedger) -> None:
    ledger.accept("p", {}, "task")
    ledger.finish(PushReport(push_id="p", state="failed", items=[], totals=Totals()))
    assert [(push.push_id, push.task_id, push.ended) for push in ledger.open_pushes()] == [("p", "task", True)]
    (push,) = ledger.open_pushes()
    ledger.close(push)
    assert (ledger.open_pushes(), ledger.open_ages()) == ([], [])


def test_a_push_stays_open_for_a_task_that_came_while_it_was_being_closed(ledger: HashLedger) -> None:
    """Rule 7.4."""
    ledger.accept("p", {}, "first")
    ledger.finish(PushReport(push_id="p", state="failed", items=[], totals=Totals()))
    (push,) = ledger.open_pushes()
    ledger.note_waiting("p", "again")
    ledger.close(push)
    (push,) = ledger.open_pushes()
    assert (push.accepted, push.noted) == ((), ("again",))
    ledger.close(push)
    assert ledger.open_pushes() == []


def test_a_push_that_is_missing_from_the_open_ones_is_found(ledger: HashLedger, hashes: Hashes) -> None:
    """Rule 7.5."""
    for push_id in ("lost", "open", "ended"):
        ledger.accept(push_id, {"items": [1]}, f"task-{push_id}")
    ledger.finish(PushReport(push_id="ended", state="failed", items=[], totals=Totals()))
    hashes.delete("imagepusher:open")
    hashes.put({"imagepusher:pushes": {"expired": b"1"}})
    ledger.list_again("open")
    assert [(push.push_id, push.task_id) for push in ledger.overlooked()] == [("lost", "task-lost")]
    assert ledger.is_open("open")
    assert not ledger.is_open("lost")
    ledger.list_again("lost")
    assert ledger.overlooked() == []
    # What is forgotten by now is not looked for again, for ever.
    assert hashes.all("imagepusher:pushes").keys() == {"lost", "open", "ended"}


def test_a_few_of_many_pushes_are_read_at_once(hashes: Hashes) -> None:
    now = iter(range(100))
    ledger = HashLedger(hashes, clock=lambda: float(next(now)))
    for push_id in ("a", "b", "c"):
        ledger.accept(push_id, {"items": [push_id]}, "task")
    ledger.finish(PushReport(push_id="b", state="partial", items=[], totals=Totals()))
    ledger.refuse("d", REFUSAL)
    ledger.accept("a", {"items": ["again"]}, "task")
    assert ledger.push_ids() == ["a", "d", "c", "b"]
    assert ledger.ended_states(["a", "b", "d", "none"]) == [None, "partial", "refused", None]
    assert ledger.requests(["b", "none", "a"]) == [{"items": ["b"]}, None, {"items": ["again"]}]
    assert (ledger.ended_states([]), ledger.requests([])) == ([], [])


def test_what_people_did_is_remembered_with_its_outcome(ledger: HashLedger) -> None:
    ledger.accept("p", {}, "task")
    heard = ledger.updated("p")
    undo = Intervention(action="undo", user="alice", at=2.5)
    ledger.note_intervention("p", undo)
    ledger.note_intervention("p", Intervention(action="retry", user="bob", at=1.5))
    ended = Intervention(action="undo", user="alice", at=2.5, outcome="1 restored")
    ledger.note_intervention("p", ended)
    assert ledger.interventions("p") == [Intervention(action="retry", user="bob", at=1.5), ended]
    # The watchdog waits for workers, not for people.
    assert ledger.updated("p") == heard
    ledger.reopen("p")
    assert len(ledger.interventions("p")) == 2


def test_a_record_that_nobody_can_read_keeps_no_other_push_from_being_looked_at(
    hashes: Hashes, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = HashLedger(hashes)
    for push_id in ("broken", "whole"):
        ledger.accept(push_id, {"items": []}, push_id)
    hashes.put({"imagepusher:push:broken": {"created": b"\xff", "updated": b"\xff"}})
    assert [push.push_id for push in ledger.open_pushes()] == ["whole"]
    assert "broken" in caplog.text
