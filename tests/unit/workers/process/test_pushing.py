"""A push on the threads of one process: its order, its pauses and its end, without a registry."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from tasks import contract
from tasks.errors import ImagePusherError, LockUnavailable, NotFound, PushCancelled, RateLimited, RegistryUnavailable
from workers.process.pushing import LocalPush

REPORT = contract.PushReport(push_id="p", state="succeeded", items=[], totals=contract.Totals())
DIGESTS = ("a", "b", "c", "d")


class World:
    """A runtime whose steps do what a test says, and note what was run."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.waits: dict[str, contract.Waiting] = {}
        self.sent = False
        self.cancelled = threading.Event()
        self.failures: dict[str, list[Exception]] = {}
        self.during: Callable[[str], None] = lambda _: None
        self.planned: Any = SimpleNamespace(copies=[SimpleNamespace(digest=digest) for digest in DIGESTS])

    def step(self, part: str) -> None:
        self.ran.append(part)
        self.during(part)
        if self.failures.get(part):
            raise self.failures[part].pop(0)

    def run(self, at_once: int = 1, earlier: "Future[contract.PushReport] | None" = None) -> contract.PushReport:
        def plan(*_: Any, **__: Any) -> Any:
            self.step("push")
            return self.planned

        def copy(_: str, digest: str, *, may_retry: Callable[..., bool]) -> ImagePusherError | None:
            try:
                self.step(digest)
            except RegistryUnavailable as error:
                if may_retry(error):
                    return error
            return None

        def publish(*_: Any, **__: Any) -> contract.PushReport:
            self.step("publish")
            return REPORT

        ledger = SimpleNamespace(
            was_sent=lambda _: self.sent,
            mark_sent=lambda _: None,
            wait=lambda _, part, waiting: self.waits.update({part: waiting}),
            waits=lambda _: self.waits,
        )
        here: Any = SimpleNamespace(
            push=SimpleNamespace(run=plan),
            copy=SimpleNamespace(run=copy),
            publish=SimpleNamespace(run=publish),
            ledger=ledger,
            clock=lambda: 1000.0,
            tries_of=lambda _: 3,
            maintenance_seconds=600.0,
        )
        with ThreadPoolExecutor(4) as executor:
            return LocalPush(here, "p", executor, at_once, self.cancelled).run({}, "p", earlier)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.celery_glue.retry_decision.pause", lambda error, _: error.retry_after or 0.01)


def test_tags_move_after_the_last_copy(world: World) -> None:
    assert world.run() is REPORT
    assert world.ran == ["push", *DIGESTS, "publish"]


def test_no_more_copies_run_at_once_than_are_allowed(world: World) -> None:
    both = threading.Barrier(2)

    def during(part: str) -> None:
        if part in DIGESTS:
            both.wait(30)

    world.during = during
    world.run(at_once=2)
    assert sorted(world.ran) == sorted(["push", *DIGESTS, "publish"])


def test_a_copy_that_waits_leaves_its_place_to_others(world: World) -> None:
    """Rule 8.6."""
    world.failures["a"] = [RateLimited("busy", 0.2)]
    world.run()
    assert world.ran == ["push", *DIGESTS, "a", "publish"]
    assert world.waits["a"].reason.code == RateLimited.code


def test_a_registry_that_stays_away_fails_its_copy_and_not_the_push(world: World) -> None:
    world.failures["b"] = [RegistryUnavailable("down")] * 5
    assert world.run() is REPORT
    assert world.ran.count("b") == 3


@pytest.mark.parametrize("part", ["push", "publish", "c"])
def test_a_part_that_finds_its_lock_taken_runs_again(world: World, part: str) -> None:
    world.failures[part] = [LockUnavailable("held")] * 4
    assert world.run() is REPORT
    assert world.ran.count(part) == 5


@pytest.mark.parametrize("part", ["push", "publish", "c"])
def test_an_error_for_good_ends_the_push(world: World, part: str) -> None:
    world.failures[part] = [NotFound("gone")]
    with pytest.raises(NotFound):
        world.run()
    assert world.ran[-1] == part


def test_a_process_that_ends_begins_nothing(world: World) -> None:
    """Rule 7.4."""

    def during(part: str) -> None:
        if part == "b":
            world.cancelled.set()

    world.during = during
    with pytest.raises(PushCancelled):
        world.run()
    assert world.ran == ["push", "a", "b"]


def test_the_work_of_an_earlier_run_is_not_done_again(world: World) -> None:
    world.sent = True
    earlier: Future[contract.PushReport] = Future()
    earlier.set_result(REPORT)
    assert world.run(earlier=earlier) is REPORT
    assert world.ran == ["push"]


def test_a_push_that_has_ended_gives_its_report(world: World) -> None:
    world.planned = REPORT
    assert world.run() is REPORT
    assert world.ran == ["push"]
