"""Whether another delivery of a task follows an error, and when (BEHAVIOUR 8.3, 8.6)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import Reject

from tasks import contract
from tasks.celery_glue.redelivery import Deliveries
from tasks.celery_glue.retry_decision import pause
from tasks.errors import (
    ImagePusherError,
    LockUnavailable,
    NotFound,
    PartBusy,
    PushCancelled,
    RateLimited,
    RegistryReadOnly,
    RegistryUnavailable,
)
from tasks.transfer.publish.unsettled_tags import waiting

MAINTENANCE = 600.0


class Retried(Exception):
    """The exception by which Celery ends a delivery that another one follows."""


@dataclass
class World:
    """A task at one of its deliveries, a ledger, and a clock."""

    now: float = 1000.0
    retries: int = 0
    waits: dict[str, contract.Waiting] = field(default_factory=dict)
    countdowns: list[float] = field(default_factory=list)
    shown: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def deliveries(self) -> Deliveries:
        ledger = SimpleNamespace(
            wait=lambda push_id, part, waiting: self.waits.update({part: waiting}),
            hold_up=lambda push_id, part, waiting: self.waits.update({part: waiting}),
            go_on=lambda push_id, part: self.waits.pop(part),
            waits=lambda push_id: self.waits,
            task_id=lambda push_id: "task-of-push",
            progress=lambda push_id: contract.Progress(
                push_id=push_id,
                state="copying",
                created=0,
                updated=0,
                waiting=self.waits.get("other"),
                copies=[contract.CopyProgress(digest="a", ended=True), contract.CopyProgress(digest="b")],
            ),
        )
        here: Any = SimpleNamespace(
            ledger=ledger,
            tries_of=lambda said: 3 if said is None else min(said, 3),
            maintenance_seconds=MAINTENANCE,
            clock=lambda: self.now,
        )
        request = SimpleNamespace(retries=self.retries, id="task-of-part", hostname="worker")
        app = SimpleNamespace(
            conf=SimpleNamespace(worker_send_task_events=True),
            events=SimpleNamespace(default_dispatcher=self._monitors),
        )
        task: Any = SimpleNamespace(request=request, retry=self._retry, app=app)
        return Deliveries(task, here, "p", "part")

    @contextmanager
    def _monitors(self, hostname: str) -> Iterator[Any]:
        assert hostname == "worker"
        yield SimpleNamespace(send=lambda event, uuid, retry, result: self.shown.append((event, uuid, result)))

    def _retry(self, *, countdown: float, **_: Any) -> Exception:
        self.countdowns.append(countdown)
        return Retried()


@pytest.mark.parametrize(
    ("error", "retries", "tries", "follows"),
    [
        (NotFound("gone"), 0, None, False),
        (PartBusy("held"), 99, None, True),
        (LockUnavailable("held"), 1, None, True),
        (LockUnavailable("held"), 2, None, False),
        (PushCancelled("stopping"), 99, None, True),
        (RegistryUnavailable("down"), 1, None, True),
        (RegistryUnavailable("down"), 2, None, False),
        (RateLimited("busy", 300.0), 0, 1, False),
        (RateLimited("busy", 300.0), 0, 9, True),
        (RateLimited("busy", 300.0), 2, 9, False),
        (RegistryReadOnly("read-only"), 99, 1, True),
    ],
)
def test_an_error_says_itself_whether_another_delivery_follows(
    error: ImagePusherError, retries: int, tries: int | None, follows: bool
) -> None:
    assert World(retries=retries).deliveries.may_follow(error, tries) is follows


def test_every_thread_of_a_task_knows_which_delivery_it_is() -> None:
    """Rule 8.3: tags move in threads of their own, and a registry that stays broken ends the push."""
    app = Celery("deliveries", set_as_current=False)

    @app.task
    def publish() -> None:
        raise NotImplementedError

    here: Any = SimpleNamespace(tries_of=lambda _: 2)
    answers = []
    for retries in range(2):
        publish.push_request(retries=retries)
        deliveries = Deliveries(publish, here, "p", "publish")
        with ThreadPoolExecutor(1) as pool:
            answers.append(pool.submit(deliveries.may_follow, RegistryUnavailable("down")).result())
        publish.pop_request()
    assert answers == [True, False]


def given_back(world: World, error: ImagePusherError) -> None:
    with world.deliveries.given_back():
        raise error


def test_a_task_comes_back_when_its_registry_asks_for_it() -> None:
    """Rule 8.3: and the ledger knows why it waits, and until when."""
    world = World()
    with pytest.raises(Retried):
        given_back(world, RateLimited("busy", 300.0, "source"))
    assert world.countdowns == [300.0]
    waiting = world.waits["part"]
    assert (waiting.since, waiting.until) == (1000.0, 1300.0)
    assert (waiting.reason.code, waiting.reason.side) == ("rate_limited", "source")


def test_monitors_show_the_push_and_its_part_as_waiting_since_when_and_for_what() -> None:
    """Rule 8.6: Flower, that is."""
    world = World()
    with pytest.raises(Retried):
        given_back(world, RateLimited("b/x is busy.", 300.0, "source"))
    text = f"since 1970-01-01 00:16:40, until 00:21:40 UTC: [rate_limited] {RateLimited('b/x is busy.')}"
    assert sorted(world.shown) == [("task-waiting", "task-of-part", text), ("task-waiting", "task-of-push", text)]


@pytest.mark.parametrize(
    ("retries", "others", "shown"),
    [
        (0, False, []),
        (1, False, [("task-progress", "task-of-push", "1 of 2 copied")]),
        # The push waits still, with another part of it.
        (1, True, []),
    ],
)
def test_monitors_show_that_a_push_goes_on(retries: int, others: bool, shown: list[tuple[str, str, str]]) -> None:
    world = World(retries=retries)
    if others:
        reason = contract.Fault.of(RateLimited("busy"))
        world.waits["other"] = contract.Waiting(reason=reason, since=900, until=1100)
    world.deliveries.went_on()
    assert world.shown == shown


def test_a_wait_that_does_not_leave_the_worker_is_noted_and_ends() -> None:
    """For a tag of another push; the wait of the whole part, which may follow, is as old."""
    world = World()
    deliveries = world.deliveries
    deliveries.held_up("b/x:1", LockUnavailable("held"), 60)
    waiting = world.waits["b/x:1"]
    assert (waiting.since, waiting.until, waiting.reason.code) == (1000.0, 1060.0, "lock_unavailable")
    world.now += 60
    deliveries.held_up("b/x:1", None, 0)
    assert "b/x:1" not in world.waits
    with pytest.raises(Retried), deliveries.given_back():
        raise LockUnavailable("held")
    assert world.waits["part"].since == 1000.0
    world.now += 5
    world.deliveries.held_up("b/x:1", LockUnavailable("held"), 60)
    assert world.waits["b/x:1"].since == 1000.0
    assert [event for event, task_id, _ in world.shown if task_id == "task-of-push"] == [
        "task-waiting",
        "task-progress",
        "task-waiting",
        "task-waiting",
    ]


def test_maintenance_is_probed_once_a_minute_and_ends() -> None:
    """Rule 8.6: waits that follow each other are one, and its time is bounded."""
    world = World()
    probes = 0
    while world.deliveries.may_follow(RegistryReadOnly("read-only")):
        with pytest.raises(Retried):
            given_back(world, RegistryReadOnly("read-only"))
        probes += 1
        world.now += world.countdowns[-1] + 1
    assert set(world.countdowns) == {60.0}
    assert world.waits["part"].since == 1000.0
    assert probes == MAINTENANCE // 61 + 1
    world.now += 10_000
    assert world.deliveries.may_follow(RegistryReadOnly("read-only"))


def test_a_release_that_cannot_be_put_back_is_waited_for_with_an_end() -> None:
    """Rule 10.1: also if each try takes longer than what separates two waits."""
    world, tries = World(), 0
    while world.deliveries.may_follow(waiting("stuck")):
        with pytest.raises(Retried):
            given_back(world, waiting("stuck"))
        tries += 1
        world.now += world.countdowns[-1] + 301
    assert world.waits["part"].since == 1000.0
    assert tries == 2


def test_a_task_whose_worker_stops_goes_back_at_once() -> None:
    with pytest.raises(Reject) as rejected:
        given_back(World(), PushCancelled("stopping"))
    assert rejected.value.args == ("stopping", True)


def test_an_error_that_stays_is_raised() -> None:
    with pytest.raises(NotFound):
        given_back(World(), NotFound("gone"))


@pytest.mark.parametrize(("retries", "most"), [(0, 5.0), (1, 10.0), (9, 120.0)])
def test_a_pause_that_nobody_asked_for_doubles_up_to_a_bound(retries: int, most: float) -> None:
    assert most / 2 <= pause(RegistryUnavailable("down"), retries) <= most
