"""Of the copies from one source, few may be slow at once (BEHAVIOUR 8.4)."""

from contextlib import ExitStack

import pytest

from tasks.errors import Retry, Side, SourceSlow
from tasks.registry.source_slots import SLOW_BYTES, SLOW_SECONDS, Visit, Visits, current_visit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Scene:
    """Copies that begin, wait and read."""

    def __init__(self, most_slow: int) -> None:
        self.clock = Clock()
        self.visits = Visits(most_slow, self.clock)
        self.running = ExitStack()

    def begin(self, registry: str = "a.example") -> Visit:
        self.running.enter_context(self.visits.visit(registry))
        visit = current_visit()
        assert visit is not None
        return visit

    def wait(self, *visits: Visit, seconds: float = SLOW_SECONDS, count: int = 0) -> None:
        """Let all of them read at once for some time, and get `count` bytes each."""
        with ExitStack() as reading:
            arrived = [reading.enter_context(visit.read()) for visit in visits]
            self.clock.now += seconds
            for tell in arrived:
                tell(count)


def test_of_the_slow_copies_of_a_source_only_as_many_go_on_as_one_may_have() -> None:
    """T12."""
    scene = Scene(2)
    with scene.running:
        first, second, third, other = scene.begin(), scene.begin(), scene.begin(), scene.begin("b.example")
        scene.wait(first, second, third, other)
        first.check()
        second.check()
        other.check()
        with pytest.raises(SourceSlow, match=r"a\.example") as caught:
            third.check()
        assert (caught.value.retry, caught.value.side) == (Retry.GIVE_BACK, Side.SOURCE)
        with pytest.raises(SourceSlow):
            scene.begin()
        scene.begin("b.example")


def test_who_leads_others_is_told_once_that_its_source_is_slow() -> None:
    """Rule 5.4."""
    scene = Scene(1)
    told: list[str] = []
    with scene.running:
        visit = scene.begin()
        with visit.once_slow(lambda: told.append("ended")):
            visit.check()
        with visit.once_slow(lambda: told.append("slow")):
            visit.check()
            assert told == []
            scene.wait(visit)
            visit.check()
            visit.check()
        assert told == ["slow"]


def test_a_source_that_drips_is_slow_and_one_that_sends_is_not() -> None:
    scene = Scene(1)
    with scene.running:
        dripping, sending, waiting = scene.begin(), scene.begin(), scene.begin()
        for _ in range(int(SLOW_SECONDS)):
            scene.wait(dripping, seconds=1, count=1)
            scene.wait(sending, seconds=1, count=SLOW_BYTES)
        assert (dripping.is_slow(), sending.is_slow(), waiting.is_slow()) == (True, False, False)


def test_a_copy_that_waits_for_something_else_is_not_slow() -> None:
    """A destination may take minutes for a commit."""
    scene = Scene(1)
    with scene.running:
        visit = scene.begin()
        scene.wait(visit, seconds=1)
        scene.clock.now += 1000
        assert not visit.is_slow()
        # The waits of several threads at once count once.
        with visit.read():
            scene.wait(visit, seconds=SLOW_SECONDS / 2)
            assert not visit.is_slow()


def test_ended_copies_make_room() -> None:
    scene = Scene(1)
    with scene.running:
        scene.wait(scene.begin())
    with scene.running:
        scene.begin()
    assert current_visit() is None


def test_without_a_bound_nothing_is_noted() -> None:
    with Visits().visit("a.example"):
        assert current_visit() is None
