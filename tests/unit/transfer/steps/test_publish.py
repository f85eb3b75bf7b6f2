"""The step that ends a push: one report, whatever was delivered before (BEHAVIOUR section 6, 7.3)."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tasks.contract import CopyProgress, TagReport, Totals
from tasks.coordination.ledger import HashLedger
from tasks.coordination.local.in_process import LocalRuns
from tasks.errors import PartBusy, PushCancelled, PushStalled, PushUnknown, SourceMissing
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration
from tasks.transfer.lost_starts import Attempts
from tasks.transfer.plan.plan import Plan
from tasks.transfer.ports import CopyOutcome
from tasks.transfer.publish.parts import Publishing
from tasks.transfer.publish.report import tag_key
from tasks.transfer.steps.publish import PART, PublishStep
from tests.support.plans import failed_item, planned_copy, planned_tag, resolved_item
from tests.support.tag_locks import MemoryTagLocks
from tests.unit.transfer.plan.sources import single

CREATED, ENDED = 100.0, 107.5
IMAGE = single("linux/amd64")
READ: dict[str, Any] = {
    "digest": IMAGE.digest,
    "media_type": IMAGE.media_type,
    "kind": "single-arch",
    "platform": IMAGE.platform,
}
RIGHT = planned_tag("b.example/app:1", "unchanged", old_digest=IMAGE.digest, new_digest=IMAGE.digest)
LOST = planned_tag("b.example/app:2", "failed")
GONE = SourceMissing("a.example/app has no tag 1.")
COPIED = CopyOutcome(digest="sha256:a", totals=Totals(bytes_copied=3, blobs_copied=1))


def step_of(ledger: HashLedger, runs: LocalRuns, executor: ThreadPoolExecutor, **more: Any) -> PublishStep:
    """Return a step none of whose tags needs a registry."""
    nothing: Any = None
    parts = Publishing(
        registries=Registries(RegistryConfiguration()),
        ledger=ledger,
        locks=MemoryTagLocks(),
        copier=nothing,
        announcer=nothing,
        executor=executor,
        requests=executor,
        cancelled=more.get("cancelled") or threading.Event(),
        attempts=Attempts(ledger, runs, 3),
    )
    return PublishStep(parts=parts, runs=runs, clock=lambda: ENDED)


def save(ledger: HashLedger, *items: Any, **more: Any) -> Plan:
    """Store a plan whose one copy has ended."""
    plan = Plan(push_id="p", created=CREATED, items=list(items), copies=[planned_copy("sha256:a")], **more)
    ledger.accept("p", {}, "p")
    ledger.save_plan(plan)
    ledger.keep_content("p", IMAGE.digest, IMAGE.content)
    ledger.record_copy("p", COPIED, CopyProgress(digest="sha256:a", done=3, ended=True))
    return plan


@pytest.fixture
def step(ledger: HashLedger, runs: LocalRuns, executor: ThreadPoolExecutor) -> PublishStep:
    return step_of(ledger, runs, executor)


def never(*_: object) -> bool:
    return False


def test_a_push_ends_in_one_report(step: PublishStep, ledger: HashLedger) -> None:
    """Rules 6.1, 6.2: items are independent; totals and time are those of the whole push."""
    save(ledger, resolved_item(RIGHT, **READ), failed_item(GONE, LOST))
    report = step.run("p", may_retry=never)
    assert report.state == "partial"
    assert [[tag.action for tag in item.tags] for item in report.items] == [["unchanged"], ["failed"]]
    assert [error and error.code for item in report.items for error in [item.error]] == [None, "source_missing"]
    assert (report.totals.bytes_copied, report.totals.seconds) == (3, ENDED - CREATED)
    assert ledger.report("p") == report


def test_a_repeat_returns_the_report_that_is_there(
    step: PublishStep, ledger: HashLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 7.3: it looks at no tag."""
    save(ledger, resolved_item(RIGHT, **READ))
    first = step.run("p", may_retry=never)
    monkeypatch.setattr("tasks.transfer.steps.publish.Delivery", None)
    assert step.run("p", may_retry=never) == first


def test_tags_that_are_done_keep_their_reports(step: PublishStep, ledger: HashLedger) -> None:
    """Rule 7.3: another delivery was killed after it had recorded one of them."""
    save(ledger, resolved_item(RIGHT, **READ), failed_item(GONE, LOST))
    done = TagReport(reference=str(RIGHT.reference), action="copied", new_digest=IMAGE.digest)
    ledger.record_tag("p", tag_key(0, RIGHT), done)
    report = step.run("p", may_retry=never)
    assert report.items[0].tags == [done]


def test_without_its_plan_a_push_is_unknown(step: PublishStep, ledger: HashLedger) -> None:
    """Rule 7.5: never a silent success."""
    with pytest.raises(PushUnknown):
        step.run("p", may_retry=never)
    assert ledger.report("p") is None


def test_two_deliveries_do_not_publish_at_once(step: PublishStep, ledger: HashLedger, runs: LocalRuns) -> None:
    """Rule 7.3."""
    save(ledger, resolved_item(RIGHT, **READ))
    with runs.hold("p", PART), pytest.raises(PartBusy):
        step.run("p", may_retry=never)
    assert step.run("p", may_retry=never).state == "succeeded"


def test_a_worker_that_shuts_down_gives_the_push_back(
    ledger: HashLedger, runs: LocalRuns, executor: ThreadPoolExecutor
) -> None:
    """Rule 7.4: nothing is reported, so that another worker goes on."""
    save(ledger, resolved_item(RIGHT, **READ))
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(PushCancelled):
        step_of(ledger, runs, executor, cancelled=cancelled).run("p", may_retry=never)
    assert ledger.report("p") is None


def test_a_push_that_is_given_up_fails_what_is_not_done(step: PublishStep, ledger: HashLedger) -> None:
    """Rule 7.5: it ends, and says why."""
    other = planned_tag("b.example/app:3", "copied", new_digest=IMAGE.digest)
    plan = save(ledger, resolved_item(RIGHT, other, **READ))
    done = TagReport(reference=str(RIGHT.reference), action="unchanged", new_digest=IMAGE.digest)
    ledger.record_tag("p", tag_key(0, RIGHT), done)
    report = step.give_up(plan, PushStalled("No worker goes on with it."), may_retry=never)
    kept, failed = report.items[0].tags
    assert (kept, failed.action, failed.error and failed.error.code) == (done, "failed", "stalled")
    assert (report.state, ledger.report("p")) == ("partial", report)
