"""Big blobs of several pushes: none of them takes all turns (BEHAVIOUR 8.4)."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from tasks import telemetry
from tasks.transfer.copy.fair_bound import Turns
from tasks.transfer.copy.width import Width


def test_a_push_that_holds_all_turns_leaves_the_others_theirs() -> None:
    """T12: big blobs that never arrive hold up their own push."""
    turns, released, begun = Turns(Width(2, 2)), threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        with telemetry.context(push_id="hostile"), turns.take():
            begun.release()
            released.wait()

    with ThreadPoolExecutor(8) as threads, ExitStack() as ending:
        ending.callback(released.set)
        hanging = [threads.submit(hang) for _ in range(8)]
        for _ in range(2):
            begun.acquire()
        for other in range(3):
            with telemetry.context(push_id=f"good {other}"), turns.take():
                # The third of the hostile push still waits.
                assert not begun.acquire(blocking=False)
    assert all(future.done() for future in hanging)


def test_who_waits_for_a_turn_may_give_up_and_leaves_no_trace() -> None:
    turns, asked = Turns(Width(1, 1)), 0

    def glance() -> None:
        nonlocal asked
        asked += 1
        raise ValueError("others need the place")

    with telemetry.context(push_id="one"), turns.take():
        with ThreadPoolExecutor(1) as threads:

            def wait() -> None:
                with telemetry.context(push_id="one"), turns.take(glance):
                    pass

            assert isinstance(threads.submit(wait).exception(), ValueError)
        assert asked == 1
    with telemetry.context(push_id="two"), turns.take(glance):
        assert asked == 1
