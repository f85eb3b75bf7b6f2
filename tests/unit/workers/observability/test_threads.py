"""Work that is handed to other threads is still about the same push."""

import threading
from concurrent.futures import wait

import pytest

from tasks import telemetry
from workers.observability.threads import ContextThreads


def test_submitted_and_mapped_work_has_the_context_of_who_hands_it_out() -> None:
    def about(*_: object) -> dict[str, str]:
        return dict(telemetry.bound())

    with ContextThreads(1) as threads:
        with telemetry.context(push_id="one"):
            first, mapped = threads.submit(about), list(threads.map(about, range(2)))
        with telemetry.context(push_id="two"):
            second = threads.submit(about, 1)
        assert (first.result(), second.result()) == ({"push_id": "one"}, {"push_id": "two"})
        assert mapped == [{"push_id": "one"}] * 2
        # Nothing of it stays in the thread.
        assert threads.submit(about).result() == {}


def test_what_work_binds_ends_with_it_and_errors_come_back() -> None:
    def fail(*, late: bool) -> None:
        with telemetry.context(push_id="inner"):
            raise ValueError(late)

    with ContextThreads(1) as threads:
        assert str(threads.submit(fail, late=True).exception()) == "True"
        assert threads.submit(lambda: dict(telemetry.bound())).result() == {}


def test_a_push_whose_work_never_ends_leaves_the_others_their_part() -> None:
    """T12: each push begins on its part of the threads, however many others are held up."""
    released, begun = threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        begun.release()
        released.wait()

    with ContextThreads(4) as threads:
        with telemetry.context(push_id="hostile"):
            hanging = [threads.submit(hang) for _ in range(64)]
        # Alone, it had all threads.
        for _ in range(4):
            begun.acquire()
        for other in range(6):
            with telemetry.context(push_id=f"good {other}"):
                assert list(threads.map(abs, range(-10, 0))) == list(range(10, 0, -1))
        assert sum(future.running() for future in hanging) == 4
        released.set()
    assert all(future.done() for future in hanging)


def test_threads_that_take_no_more_work_cancel_what_waits() -> None:
    released, begun = threading.Event(), threading.Event()
    threads = ContextThreads(1)

    def hang() -> None:
        begun.set()
        released.wait()

    running = threads.submit(hang)
    waiting = threads.submit(abs, -1)
    begun.wait()
    threads.shutdown(wait=False, cancel_futures=True)
    released.set()
    assert wait([running, waiting]).not_done == set()
    assert waiting.cancelled()
    with pytest.raises(RuntimeError):
        threads.submit(abs, -1)
