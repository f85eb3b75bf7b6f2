"""A cache that fetches once for all threads."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest

from tasks.errors import PushCancelled, RegistryUnavailable
from tasks.registry.http import expiring_cache
from tasks.registry.http.expiring_cache import Expiring, ExpiringCache
from tasks.registry.http.retry import Transient


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Gate:
    """A fetch that waits until it is let go, and then gives or raises what it was told."""

    def __init__(self, outcome: str | BaseException) -> None:
        self.outcome = outcome
        self.entered, self.open = threading.Event(), threading.Event()

    def __call__(self) -> Expiring[str]:
        self.entered.set()
        assert self.open.wait(300)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return Expiring(self.outcome, 60)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Count the threads that found another one fetching."""
    found = threading.Semaphore(0)

    def counted(fetches: list[Future[str]]) -> None:
        found.release()
        wait(fetches)

    monkeypatch.setattr(expiring_cache, "wait", counted)
    return found


def never() -> Expiring[str]:
    raise AssertionError("fetched once too often")


def test_a_value_serves_until_it_ends() -> None:
    clock = Clock()
    cache: ExpiringCache[str, str] = ExpiringCache(clock)
    assert cache.value("key", lambda: Expiring("first", 60)) == "first"
    clock.now += 59.9
    assert cache.value("key", never) == "first"
    clock.now += 0.1
    assert cache.value("key", lambda: Expiring("second", 60)) == "second"


def test_the_life_of_a_value_counts_from_the_start_of_its_fetch() -> None:
    clock = Clock()
    cache: ExpiringCache[str, str] = ExpiringCache(clock)

    def slow() -> Expiring[str]:
        clock.now += 61
        return Expiring("old when it comes", 60)

    assert cache.value("key", slow) == "old when it comes"
    assert cache.value("key", lambda: Expiring("new", 60)) == "new"


def test_a_forgotten_value_is_fetched_again_and_others_stay() -> None:
    cache: ExpiringCache[str, str] = ExpiringCache(Clock())
    cache.value("key", lambda: Expiring("value", 60))
    cache.value("other", lambda: Expiring("stays", 60))
    cache.forget("value")
    assert cache.value("key", lambda: Expiring("again", 60)) == "again"
    assert cache.value("other", never) == "stays"


def test_threads_that_want_the_same_wait_for_one_fetch(waiting: threading.Semaphore) -> None:
    cache: ExpiringCache[str, str] = ExpiringCache(Clock())
    gate = Gate("value")
    with ThreadPoolExecutor(5) as threads:
        first = threads.submit(cache.value, "key", gate)
        assert gate.entered.wait(300)
        others = [threads.submit(cache.value, "key", never) for _ in range(4)]
        for _ in range(4):
            assert waiting.acquire(timeout=300)
        assert cache.value("another key", lambda: Expiring("not held up", 60)) == "not held up"
        gate.open.set()
        assert [first.result(30), *(other.result(30) for other in others)] == ["value"] * 5


@pytest.mark.parametrize("failure", [RegistryUnavailable("gone", 7.0), Transient("gone", 503, 7.0)])
def test_threads_that_wait_share_the_failure_of_a_registry(
    waiting: threading.Semaphore, failure: RegistryUnavailable | Transient
) -> None:
    cache: ExpiringCache[str, str] = ExpiringCache(Clock())
    gate = Gate(failure)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(cache.value, "key", gate)
        assert gate.entered.wait(300)
        others = [threads.submit(cache.value, "key", never) for _ in range(2)]
        for _ in range(2):
            assert waiting.acquire(timeout=300)
        gate.open.set()
        for each in [first, *others]:
            with pytest.raises(type(failure), match="gone") as caught:
                each.result(30)
            assert caught.value.args == failure.args
    assert cache.value("key", lambda: Expiring("back", 60)) == "back"


def test_a_thread_that_is_cancelled_cancels_no_other(waiting: threading.Semaphore) -> None:
    cache: ExpiringCache[str, str] = ExpiringCache(Clock())
    gate = Gate(PushCancelled("shutting down"))
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(cache.value, "key", gate)
        assert gate.entered.wait(300)
        other = threads.submit(cache.value, "key", lambda: Expiring("own", 60))
        assert waiting.acquire(timeout=300)
        gate.open.set()
        with pytest.raises(PushCancelled):
            first.result(30)
        assert other.result(30) == "own"


def test_entries_that_ended_do_not_pile_up() -> None:
    clock = Clock()
    cache: ExpiringCache[int, str] = ExpiringCache(clock)
    for number in range(5000):
        cache.value(number, lambda: Expiring("value", 60))
        clock.now += 1
    assert len(cache._entries) <= 1024
