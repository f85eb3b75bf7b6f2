"""A scrape never waits long for broker and ledger, and never fails because of them."""

import threading
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tasks.contract import Fault, Waiting
from tasks.transfer.ports import OpenPush
from tests.support.processes import wait_until
from workers.observability.backlog import (
    _PATIENCE_SECONDS,
    Backlog,
    BacklogCollector,
    is_waiting,
    longest_waits,
)


def values(registry: CollectorRegistry) -> dict[str, float]:
    return {sample.name: sample.value for family in registry.collect() for sample in family.samples}


def test_without_open_pushes_the_oldest_is_no_second_old() -> None:
    registry = CollectorRegistry()
    registry.register(BacklogCollector(lambda: Backlog({}, [])))
    assert values(registry)["imagepusher_oldest_push_age_seconds"] == 0


def test_what_fails_is_left_out_and_said() -> None:
    def fail() -> Backlog:
        raise ConnectionError("away")

    registry = CollectorRegistry()
    registry.register(BacklogCollector(fail))
    assert values(registry) == {"imagepusher_state_up": 0}


def test_registering_asks_nobody() -> None:
    def fail() -> Backlog:
        raise AssertionError("asked")

    CollectorRegistry().register(BacklogCollector(fail))


def test_who_does_not_answer_is_not_waited_for_and_asked_by_one_thread_only() -> None:
    answered, asked = threading.Event(), []

    def hang() -> Backlog:
        asked.append(threading.current_thread())
        answered.wait(300)
        return Backlog({}, [1.0])

    registry = CollectorRegistry()
    registry.register(BacklogCollector(hang, patience_seconds=0.05))
    try:
        for _ in range(3):
            assert b"imagepusher_state_up 0.0" in generate_latest(registry)
        assert len(asked) == 1
    finally:
        answered.set()
    wait_until(lambda: not asked[0].is_alive(), "the thread did not end")
    wait_until(lambda: values(registry)["imagepusher_state_up"] == 1, "nobody was asked again")
    assert len(asked) > 1


def test_the_default_patience_leaves_a_scrape_below_a_second() -> None:
    assert _PATIENCE_SECONDS < 1


def a_push(**more: Any) -> OpenPush:
    known = {"push_id": "p", "task_id": "p", "known": True, "planned": False, "ended": False, "quiet_since": 5.0}
    return OpenPush(**{**known, "done": 0, "drives": 0, "accepted": ("p",), **more})


@pytest.mark.parametrize(
    ("push", "waits"),
    [
        (a_push(), False),
        (a_push(accepted=()), True),
        (a_push(accepted=(), noted=("q",)), True),
        (a_push(quiet_since=10.1), True),
        (a_push(quiet_since=10.0), False),
    ],
)
def test_a_push_waits_where_nothing_of_it_is_under_way(push: OpenPush, waits: bool) -> None:
    assert is_waiting(push, 10.0) is waits


def test_workers_are_counted_by_queue_and_pushes_that_wait() -> None:
    registry = CollectorRegistry()
    registry.register(BacklogCollector(lambda: Backlog({}, [], {"imagepusher.push": 2, "imagepusher.copy": 0}, 3)))
    assert registry.get_sample_value("imagepusher_queue_workers", {"queue": "imagepusher.copy"}) == 0
    assert registry.get_sample_value("imagepusher_queue_workers", {"queue": "imagepusher.push"}) == 2
    assert registry.get_sample_value("imagepusher_waiting_pushes") == 3


def test_the_longest_rest_is_told_for_each_reason() -> None:
    """Rule 8.3: a push that waits says for what, and since when."""

    def wait(code: str, since: float, until: float) -> Waiting:
        return Waiting(reason=Fault(code, "m"), since=since, until=until)

    waits = [wait("rate_limited", 90, 200), wait("rate_limited", 40, 130), wait("registry_read_only", 95, 101)]
    longest = longest_waits([*waits, wait("registry_unavailable", 1, 99)], now=100)
    assert longest == {"rate_limited": 60, "registry_read_only": 5}
    registry = CollectorRegistry()
    registry.register(BacklogCollector(lambda: Backlog({}, [], longest=longest)))
    assert registry.get_sample_value("imagepusher_longest_wait_seconds", {"reason": "rate_limited"}) == 60
