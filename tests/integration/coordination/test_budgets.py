"""Budgets of requests, shared by processes through real Redis, and through the one inside the process."""

import threading
import time
from collections.abc import Iterator

import fakeredis
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasks.coordination.redis import budgets as module
from tasks.coordination.redis.budgets import RedisBudgets
from tasks.coordination.shared_budget import SharedBudget
from tasks.errors import RateLimited
from tests.support.redis_server import RedisServer


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["redis", "embedded"])
def client(request: pytest.FixtureRequest, redis_server: RedisServer) -> Iterator[redis.Redis]:
    if request.param == "redis":
        with redis.Redis.from_url(f"{redis_server.url.removesuffix('/0')}/9") as made:
            made.flushdb()
            yield made
    else:
        with fakeredis.FakeRedis(server=fakeredis.FakeServer()) as made:
            yield made


@pytest.fixture
def clock(client: redis.Redis) -> Iterator[Clock]:
    """Return a clock that stands still, so that no budget falls out of use while its test waits for the machine."""
    clock = Clock()
    yield clock
    # The threads that keep budgets in step end once these are out of use.
    clock.now += 10_000


def shared(budgets: RedisBudgets, at_once: int = 8, per_second: float | None = None) -> SharedBudget:
    budget = budgets.of("registry.example", "default", at_once, per_second)
    assert isinstance(budget, SharedBudget)
    return budget


def assert_fit(budget: SharedBudget, room: int, wanted: int) -> None:
    """See that `room` of `wanted` requests get in at once, and no more."""
    inside, release = threading.Semaphore(0), threading.Event()

    def ask() -> None:
        with budget.request(100):
            inside.release()
            release.wait(300)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(wanted)]
    for thread in threads:
        thread.start()
    let_in = [inside.acquire(timeout=300) for _ in range(room)]
    one_too_many = room < wanted and inside.acquire(timeout=0.15)
    release.set()
    for thread in threads:
        thread.join()
    assert all(let_in)
    assert not one_too_many


def test_no_more_requests_at_once_than_the_budget_has() -> None:
    assert_fit(SharedBudget("registry.example", 3, None, time.time), 3, 6)


def test_a_request_inside_another_of_its_thread_does_not_wait_for_it() -> None:
    budget = SharedBudget("registry.example", 1, None, time.time)
    with budget.request(0), budget.request(0):
        pass
    assert_fit(budget, 1, 1)


def test_processes_that_are_active_share_the_budget(client: redis.Redis, clock: Clock) -> None:
    one, other = (RedisBudgets(client, "i:", clock) for _ in range(2))
    mine, theirs = shared(one), shared(other)
    for budget in (mine, theirs):
        with budget.request(5):
            pass
    one.synchronise()
    other.synchronise()
    one.synchronise()
    assert_fit(mine, 4, 8)
    assert_fit(theirs, 4, 8)


def test_a_process_that_is_silent_leaves_its_share_to_the_others(client: redis.Redis, clock: Clock) -> None:
    one, other = (RedisBudgets(client, "i:", clock) for _ in range(2))
    mine = shared(one)
    for budgets in (one, other):
        with shared(budgets).request(5):
            pass
        budgets.synchronise()
    clock.now += 10
    with mine.request(5):
        pass
    one.synchronise()
    assert_fit(mine, 8, 9)


def test_a_limit_halves_the_budget_of_all_once_and_it_comes_back_slowly(
    client: redis.Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HALVED_AGAIN", 100)
    monkeypatch.setattr(module, "_RAISED_AGAIN", 100)
    one, other = (RedisBudgets(client, "i:", clock) for _ in range(2))
    mine, theirs = shared(one, 32), shared(other, 32)
    for budget in (mine, theirs):
        with budget.request(5):
            pass
    mine.limited(0.01)
    theirs.limited(0.01)
    one.synchronise()
    other.synchronise()
    one.synchronise()
    clock.now += 1
    assert client.hget("i:budget:registry.example:default", "factor") == b"0.5"
    assert_fit(mine, 8, 10)
    client.delete("i:budget:registry.example:default:raised")
    one.synchronise()
    raised = client.hget("i:budget:registry.example:default", "factor")
    assert isinstance(raised, bytes)
    assert 0.5 < float(raised) < 0.6


def test_retry_after_rests_every_process(client: redis.Redis, clock: Clock) -> None:
    """Rule 8.3: the whole fleet leaves the registry alone."""
    one, other = (RedisBudgets(client, "i:", clock) for _ in range(2))
    mine, theirs = shared(one), shared(other)
    with theirs.request(5):
        pass
    mine.limited(60)
    one.synchronise()
    other.synchronise()
    with (
        pytest.raises(RateLimited, match=r"registry\.example asks for no requests for \d+ seconds") as refusal,
        theirs.request(5),
    ):
        pass
    assert refusal.value.retry_after == 60


def test_requests_per_second_are_bounded() -> None:
    clock = Clock()
    budget = SharedBudget("registry.example", 100, 2.0, clock)
    clock.now += 1
    entered = threading.Semaphore(0)

    def ask() -> None:
        with budget.request(100):
            entered.release()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for let_in in (2, 1, 1):
        assert all(entered.acquire(timeout=300) for _ in range(let_in))
        assert not entered.acquire(timeout=0.2)
        clock.now += 0.5
    for thread in threads:
        thread.join()


def test_a_redis_that_is_away_stops_nothing(redis_server: RedisServer) -> None:
    with redis.Redis(port=1, retry=Retry(NoBackoff(), 0)) as nobody:
        budgets = RedisBudgets(nobody, "i:")
        budget = shared(budgets)
        budget.limited(0.01)
        with pytest.raises(redis.ConnectionError), budget.request(5):
            budgets.synchronise()
        assert_fit(budget, 1, 1)


def test_a_registry_that_serves_again_is_asked_by_every_process(client: redis.Redis, clock: Clock) -> None:
    """Rule 8.3: one of them looks, a minute after the limit."""
    one, other = (RedisBudgets(client, "i:", clock) for _ in range(2))
    mine, theirs = shared(one), shared(other)
    for each in (mine, theirs):
        with each.request(5):
            pass
    mine.limited(3600)
    one.synchronise()
    other.synchronise()
    clock.now += 61
    with mine.request(5):
        pass
    mine.served()
    one.synchronise()
    with theirs.request(5):
        pass
    other.synchronise()
    with theirs.request(5):
        pass
