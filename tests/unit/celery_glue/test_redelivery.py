"""Whether another delivery of a task follows an error, and when (BEHAVIOUR 8.3, 8.6)."""

from concurrent.futures import ThreadPoolExecutor
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

    @property
    def deliveries(self) -> Deliveries:
        ledger = SimpleNamespace(
            wait=lambda push_id, part, waiting: self.waits.update({part: waiting}), waits=lambda push_id: self.waits
        )
        here: Any = SimpleNamespace(
            ledger=ledger,
            tries_of=lambda said: 3 if said is None else min(said, 3),
            maintenance_seconds=MAINTENANCE,
            clock=lambda: self.now,
        )
        task: Any = SimpleNamespace(request=SimpleNamespace(retries=self.retries), retry=self._retry)
        return Deliveries(task, here, "p", "part")

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
