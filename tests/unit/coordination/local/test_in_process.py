"""Coordination within one process: what the embedded mode stands on instead of Redis."""

import threading

import pytest

from tasks.coordination.local.in_process import (
    KeyLocks,
    LocalBlobLocations,
    LocalBudgets,
    LocalRuns,
    LocalSingleFlight,
)
from tasks.coordination.shared_budget import SharedBudget
from tasks.errors import PartBusy, RateLimited


def test_one_task_at_a_time_moves_a_blob() -> None:
    """Rule 5.4."""
    flights = LocalSingleFlight(KeyLocks(), 30)
    moving, most = 0, 0
    guard = threading.Lock()

    def move() -> None:
        nonlocal moving, most
        with flights.lead("b", "sha256:a"):
            with guard:
                moving += 1
                most = max(most, moving)
            threading.Event().wait(0.005)
            with guard:
                moving -= 1

    threads = [threading.Thread(target=move) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, moving) == (1, 0)


def test_who_leads_may_let_the_next_one_begin() -> None:
    """Rule 5.4."""
    flights = LocalSingleFlight(KeyLocks(), 5)
    with flights.lead("b", "sha256:a") as let_go:
        let_go()
        with flights.lead("b", "sha256:a"):
            let_go()


def test_a_part_that_is_worked_on_is_held_until_its_end() -> None:
    """Rule 7.3."""
    runs = LocalRuns(KeyLocks(), 0.05)
    with runs.hold("p", "sha256:a"):
        assert runs.is_held("p", "sha256:a")
        with pytest.raises(PartBusy), runs.hold("p", "sha256:a"):
            pass
        with runs.alone("p"), pytest.raises(PartBusy), runs.alone("q"):
            pass
    assert not runs.is_held("p", "sha256:a")


def test_locations_are_kept_by_registry_and_can_be_forgotten() -> None:
    locations = LocalBlobLocations()
    locations.add("b", "sha256:a", "x")
    locations.add("b", "sha256:a", "y")
    locations.forget("b", "sha256:a", "x")
    locations.forget("b", "sha256:unknown", "x")
    assert (locations.repositories("b", "sha256:a"), locations.repositories("c", "sha256:a")) == (["y"], [])


def test_a_limit_halves_the_budget_and_it_comes_back_slowly() -> None:
    now = 1_000_000.0
    budgets = LocalBudgets(lambda: now)
    budget = budgets.of("registry.example", "default", 8, None)
    assert isinstance(budget, SharedBudget)
    assert budgets.of("registry.example", "default", 8, None) is budget
    budget.limited(60)
    with pytest.raises(RateLimited, match="asks for no requests for 60 seconds"), budget.request(5):
        pass
    factors = []
    for seconds in (61, 0, 2):
        now += seconds
        with budget.request(5):
            factors.append(budget.factor)
    assert factors == [0.5, 0.5, pytest.approx(0.55)]


def test_a_registry_that_asked_for_a_long_rest_is_looked_at_once_a_minute() -> None:
    """Rule 8.3: by then it may serve again."""
    now = 1_000_000.0
    budget = LocalBudgets(lambda: now).of("registry.example", "default", 8, None)

    def ask(*, limited: bool) -> bool:
        try:
            with budget.request(5):
                pass
        except RateLimited:
            return False
        if limited:
            budget.limited(3600)
        else:
            budget.served()
        return True

    budget.limited(3600)
    asked = []
    for seconds in (1, 60, 1, 60, 1, 60):
        now += seconds
        asked.append(ask(limited=True))
    assert asked == [False, True, False, True, False, True]
    now += 60
    assert [ask(limited=False) for _ in range(3)] == [True] * 3


def test_an_answer_to_an_earlier_request_does_not_end_a_rest() -> None:
    """Rule 8.3: it was on its way when the registry set the limit."""
    budget = LocalBudgets(lambda: 1_000_000.0).of("registry.example", "default", 8, None)
    with budget.request(5):
        budget.limited(3600)
    budget.served()
    with pytest.raises(RateLimited), budget.request(5):
        pass
