"""What pushes leave each other of the requests that a registry allows (BEHAVIOUR 8.4)."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks import telemetry
from tasks.coordination.shared_budget import SharedBudget


@pytest.mark.parametrize(("room", "held"), [(8, 6), (2, 1), (64, 48)])
def test_one_push_never_has_all_requests_of_a_registry(room: int, held: int) -> None:
    """T12: uploads whose source drips hold their requests; another push to the same registry goes on."""
    budget = SharedBudget("registry.example", room, None, lambda: 1.0)
    released, begun = threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        with telemetry.context(push_id="hostile"), budget.request(5):
            begun.release()
            released.wait()

    with ThreadPoolExecutor(2 * room) as threads:
        hanging = [threads.submit(hang) for _ in range(2 * room)]
        try:
            for _ in range(held):
                begun.acquire()
            for _ in range(3):
                with telemetry.context(push_id="good"), budget.request(5):
                    assert not begun.acquire(blocking=False)
        finally:
            released.set()
    assert all(future.exception() is None for future in hanging)


def test_a_request_that_cannot_begin_leaves_its_room_to_the_next() -> None:
    """A machine may refuse the thread that keeps the budget in step."""
    refused = iter((True, False))

    def begin() -> None:
        if next(refused):
            raise RuntimeError("can't start new thread")

    budget = SharedBudget("registry.example", 1, None, lambda: 1.0, begin)
    with pytest.raises(RuntimeError), budget.request(5):
        pass
    held = threading.Event()

    def ask() -> None:
        with budget.request(5):
            held.set()

    threading.Thread(target=ask, daemon=True).start()
    assert held.wait(10)
