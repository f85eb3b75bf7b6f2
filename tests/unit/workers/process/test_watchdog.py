"""What the watchdog does with each push that it finds."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from celery import states

from tasks import contract
from tasks.celery_glue.runtime import Runtime
from tasks.contract import CopyProgress, PushReport, Totals
from tasks.coordination.ledger import HashLedger
from tasks.coordination.local.in_process import KeyLocks, LocalRuns
from tasks.coordination.local.sqlite import FileHashes
from tasks.errors import PushFailed, PushUnknown, RequestInvalid
from tasks.transfer.lost_starts import Attempts
from tasks.transfer.plan.plan import Plan
from tasks.transfer.ports import CopyOutcome
from tasks.transfer.publish.parts import Publishing
from tasks.transfer.publish.unsettled_tags import waiting
from tasks.transfer.steps.publish import PublishStep
from tasks.transfer.steps.push import PushStep
from tasks.transfer.watchdog_verdict import Patience
from tests.support.plans import planned_copy
from workers.process import watchdog as module
from workers.process.watchdog import Watchdog

STALL = 10.0
REQUEST = {"items": [{"source": "a.example/x:1", "destinations": {"b.example/x": ["1"]}}]}


@dataclass
class Result:
    state: str = states.PENDING
    result: Any = None


@dataclass
class FakeApp:
    """A Celery application whose results are a dictionary, and whose messages are a list."""

    results: dict[str, Result] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)

    @property
    def backend(self) -> "FakeApp":
        return self

    def AsyncResult(self, task_id: str) -> Result:  # Celery's name  # noqa: N802 - Celery's name
        return self.results.get(task_id, Result())

    def store_result(self, task_id: str, result: Any, state: str) -> None:
        self.results[task_id] = Result(state, result)


class World:
    """A ledger, a clock, and a watchdog that looks when it is told to."""

    def __init__(self, hashes: FileHashes, now: list[float]) -> None:
        self._hashes = hashes
        self.ledger = ledger = HashLedger(hashes, lambda: now[0])
        self.now = now
        self.app = FakeApp()
        self.queued: dict[str, int] = {}
        self.reclaimed: list[float] = []
        runs = LocalRuns(KeyLocks(), 0.1)
        unused: Any = None
        executor = ThreadPoolExecutor(1)
        attempts = Attempts(ledger, runs, 1)
        push = PushStep(
            registries=unused,
            ledger=ledger,
            runs=runs,
            targets={},
            executor=executor,
            attempts=attempts,
            clock=lambda: now[0],
        )
        publishing = Publishing(
            registries=unused,
            ledger=ledger,
            locks=unused,
            copier=unused,
            announcer=unused,
            executor=executor,
            requests=executor,
            cancelled=threading.Event(),
            attempts=attempts,
        )
        publish = PublishStep(parts=publishing, runs=runs, clock=lambda: now[0])
        runtime = Runtime(
            push=push,
            copy=unused,
            publish=publish,
            registries=unused,
            ledger=ledger,
            runs=runs,
            locks=unused,
            executor=executor,
            task_tries=1,
            maintenance_seconds=0,
            most_tries=1,
            clock=lambda: now[0],
        )
        app: Any = self.app
        self._watchdog = Watchdog(app, runtime, unused, "key", Patience(STALL, most_drives=2))

    def look_after(self, seconds: float) -> None:
        self.now[0] += seconds
        self._watchdog.look()

    def take_on(self, *digests: str, request: dict[str, Any] = REQUEST) -> None:
        """Let a worker take the push `p` on, and plan it where digests are given."""
        self.ledger.accept("p", request, "task")
        if digests:
            copies = [planned_copy(digest) for digest in digests]
            self.ledger.save_plan(Plan(push_id="p", created=1.0, items=[], copies=copies))

    def lose_the_open_ones(self) -> None:
        self._hashes.delete("imagepusher:open")

    def is_open(self) -> bool:
        return bool(self.ledger.open_pushes())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    hashes = FileHashes(tmp_path / "ledger.sqlite3", 10**6)
    now = [1000.0]
    made = World(hashes, now)

    def note(what: Callable[..., str]) -> Callable[..., None]:
        return lambda _, *arguments: made.app.sent.append(what(*arguments))

    monkeypatch.setattr(module, "queue_lengths", lambda _: made.queued)
    monkeypatch.setattr(module, "reclaim", lambda _app, _runs, before: made.reclaimed.append(before))
    monkeypatch.setattr(module, "send_again", note(lambda _request, task_id: f"push again as {task_id}"))
    monkeypatch.setattr(
        module, "drive_on", note(lambda _plan, ended, task_id: f"on without {sorted(ended)} as {task_id}")
    )
    yield made
    hashes.close()


def report(state: contract.State) -> PushReport:
    return PushReport(push_id="p", state=state, items=[], totals=Totals())


def test_what_was_taken_long_ago_is_given_back_first(world: World) -> None:
    world.look_after(5)
    assert world.reclaimed == [1005 - STALL]


def test_a_push_that_goes_on_is_left_alone(world: World) -> None:
    world.take_on("sha256:a")
    for _ in range(5):
        world.ledger.touch("p")
        world.look_after(STALL - 1)
    assert world.app.sent == []


def test_a_push_without_a_plan_is_sent_again(world: World) -> None:
    """Rule 7.5."""
    world.take_on()
    world.look_after(STALL)
    assert world.app.sent == ["push again as task"]


def test_a_push_that_is_missing_from_the_open_ones_is_found_in_time(world: World) -> None:
    """Rule 7.5: Redis may evict the whole list."""
    world.look_after(0)
    world.take_on()
    world.lose_the_open_ones()
    for _ in range(19):
        world.look_after(STALL)
    assert not world.is_open()
    world.look_after(STALL)
    assert world.is_open()
    assert world.app.sent == ["push again as task"]


def test_a_push_that_ended_without_a_report_is_not_looked_for(world: World) -> None:
    world.take_on()
    world.lose_the_open_ones()
    world.app.results["task"] = Result(states.FAILURE, RequestInvalid("no"))
    world.look_after(STALL)
    assert not world.is_open()


def test_only_what_is_left_of_a_planned_push_is_sent_again(world: World) -> None:
    world.take_on("sha256:a", "sha256:b")
    world.ledger.record_copy("p", CopyOutcome(digest="sha256:a"), CopyProgress(digest="sha256:a", ended=True))
    world.look_after(STALL)
    assert world.app.sent == ["on without ['sha256:a'] as task"]


def test_a_push_whose_tasks_may_wait_in_a_queue_is_waited_for(world: World) -> None:
    world.take_on("sha256:a")
    world.queued = {contract.COPY_QUEUE: 1}
    world.look_after(9 * STALL)
    assert world.app.sent == []
    world.queued = {contract.PUSH_QUEUE: 1}
    world.look_after(0)
    assert len(world.app.sent) == 1


def test_progress_starts_the_count_of_drives_anew(world: World) -> None:
    world.take_on("sha256:a", "sha256:b", "sha256:c")
    for digest in ("sha256:a", "sha256:b", "sha256:c"):
        world.look_after(STALL)
        world.look_after(2 * STALL)
        world.ledger.record_copy("p", CopyOutcome(digest=digest), CopyProgress(digest=digest, ended=True))
    assert len(world.app.sent) == 6
    assert world.ledger.report("p") is None


@pytest.mark.parametrize("digests", [[], ["sha256:a"]])
def test_a_push_that_was_driven_on_in_vain_ends_as_failed(world: World, digests: list[str]) -> None:
    """Rule 7.5: never a push that hangs for good without saying so."""
    world.take_on(*digests)
    for _ in range(2):
        world.look_after(8 * STALL)
    assert len(world.app.sent) == 2
    world.look_after(8 * STALL)
    ended = world.ledger.report("p")
    assert ended is not None
    if not digests:
        assert [tag.error.code for item in ended.items for tag in item.tags if tag.error] == ["stalled"]
    world.look_after(STALL)
    assert world.app.results["task"].state in states.READY_STATES
    assert not world.is_open()


@pytest.mark.parametrize("state", ["succeeded", "partial", "failed"])
def test_the_result_of_a_push_that_ended_is_stored_if_its_worker_did_not(world: World, state: contract.State) -> None:
    world.take_on("sha256:a")
    world.ledger.finish(report(state))
    world.look_after(1)
    assert world.app.results == {}
    world.look_after(STALL)
    stored = world.app.results["task"]
    assert stored.state == (states.SUCCESS if state == "succeeded" else states.FAILURE)
    told = stored.result if state == "succeeded" else stored.result.report
    assert told["state"] == state
    assert not world.is_open()


@pytest.mark.parametrize("state", ["succeeded", "failed"])
def test_what_a_broken_chord_left_is_replaced_by_the_report(world: World, state: contract.State) -> None:
    world.take_on("sha256:a")
    world.app.store_result("task", RuntimeError("the chord broke"), states.FAILURE)
    world.look_after(1)
    assert world.is_open()
    world.ledger.finish(report(state))
    world.look_after(STALL)
    stored = world.app.results["task"]
    assert stored.state == states.SUCCESS or isinstance(stored.result, PushFailed)
    assert not world.is_open()


def test_a_push_whose_result_is_there_is_closed_and_stays_as_it_is(world: World) -> None:
    world.take_on("sha256:a")
    world.ledger.finish(report("failed"))
    told = PushFailed("p failed", {"state": "failed"})
    world.app.store_result("task", told, states.FAILURE)
    world.look_after(0)
    assert world.app.results["task"].result is told
    assert not world.is_open()


def test_a_push_that_the_ledger_lost_fails_visibly(world: World) -> None:
    world.take_on("sha256:a")
    world.ledger._hashes.delete("imagepusher:push:p")
    world.look_after(0)
    assert isinstance(world.app.results["p"].result, PushUnknown)
    assert not world.is_open()


def test_a_push_that_is_no_longer_valid_ends_so(world: World) -> None:
    world.take_on(request=REQUEST | {"target": "gone"})
    for _ in range(3):
        world.look_after(8 * STALL)
    assert isinstance(world.app.results["task"].result, RequestInvalid)
    assert not world.is_open()


def test_one_push_does_not_keep_the_others_from_being_looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for push_id in ("one", "two", "three"):
        world.ledger.accept(push_id, REQUEST, push_id)

    def send(_app: Any, _request: Any, task_id: str) -> None:
        if task_id == "one":
            raise RuntimeError("a record that nobody can read")
        world.app.sent.append(task_id)

    monkeypatch.setattr(module, "send_again", send)
    world.look_after(STALL)
    assert sorted(world.app.sent) == ["three", "two"]


def test_a_release_that_cannot_be_put_back_yet_is_given_up_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 10.1: the push waits, visibly, and stays open."""

    def give_up(*_: object, **__: object) -> None:
        raise waiting("stuck")

    monkeypatch.setattr(PublishStep, "give_up", give_up)
    world.take_on("sha256:a")
    for _ in range(3):
        world.look_after(STALL * 9)
    waits = world.ledger.waits("p")
    assert {part: each.reason.code for part, each in waits.items()} == {"publish": "release_unsettled"}
    assert world.is_open()
