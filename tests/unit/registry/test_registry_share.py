"""Of the copies at one registry, few may be slow at once (BEHAVIOUR 8.4)."""

from contextlib import ExitStack

import pytest

from tasks.errors import DestinationSlow, Retry, Side, SourceSlow
from tasks.registry.registry_share import SLOW_BYTES, SLOW_SECONDS, Visit, Visits, current_visit


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
        return self.copy(registry)[0]

    def copy(self, source: str, *destinations: str) -> tuple[Visit, ...]:
        self.running.enter_context(self.visits.visit(source, destinations))
        visits = [current_visit("source", source), *(current_visit("destination", each) for each in destinations)]
        found = tuple(visit for visit in visits if visit is not None)
        assert len(found) == len(visits)
        return found

    def wait(self, *visits: Visit, seconds: float = SLOW_SECONDS, count: int = 0) -> None:
        """Let all of them read at once for some time, and get `count` bytes each."""
        with ExitStack() as reading:
            arrived = [reading.enter_context(visit.wait()) for visit in visits]
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


def test_of_the_slow_copies_to_a_destination_only_as_many_go_on_as_one_may_have() -> None:
    scene = Scene(1)
    with scene.running:
        (source, first), (_, second), (_, other) = (
            scene.copy("a.example", "b.example"),
            scene.copy("a.example", "b.example"),
            scene.copy("a.example", "c.example"),
        )
        scene.wait(first, second, other)
        for visit in (source, first, other):
            visit.check()
        with pytest.raises(DestinationSlow, match=r"b\.example") as caught:
            second.check()
        assert (caught.value.retry, caught.value.side) == (Retry.GIVE_BACK, Side.DESTINATION)
        with pytest.raises(DestinationSlow):
            scene.copy("d.example", "c.example", "b.example")
        # It is no slow source, and a copy that was refused holds nothing.
        scene.copy("b.example", "d.example")
        assert not scene.begin("d.example").is_slow()


def test_who_waits_for_a_turn_leaves_when_the_slow_ones_have_all_places() -> None:
    scene = Scene(1)
    with scene.running:
        slow, waiting, other = scene.begin(), scene.begin(), scene.begin("b.example")
        for visit in (slow, waiting, other):
            visit.ensure_room()
        scene.wait(slow)
        slow.ensure_room()
        other.ensure_room()
        with pytest.raises(SourceSlow):
            waiting.ensure_room()


def test_each_answer_of_a_destination_ends_the_wait_for_it() -> None:
    scene = Scene(1)
    with scene.running:
        _, answering = scene.copy("a.example", "b.example")
        _, dripping = scene.copy("a.example", "b.example")
        for _ in range(20):
            scene.wait(answering, seconds=1, count=400)
            scene.wait(dripping, seconds=1, count=1)
        assert (answering.is_slow(), dripping.is_slow()) == (False, True)


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
            scene.wait(sending, seconds=1, count=SLOW_BYTES["source"])
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
        with visit.wait():
            scene.wait(visit, seconds=SLOW_SECONDS / 2)
            assert not visit.is_slow()


def test_ended_copies_make_room() -> None:
    scene = Scene(1)
    with scene.running:
        scene.wait(scene.begin())
    with scene.running:
        scene.begin()
    assert current_visit("source", "a.example") is None


def test_without_a_bound_nothing_is_noted() -> None:
    with Visits().visit("a.example"):
        assert current_visit("source", "a.example") is None
