"""How many transfers run at once: a line is played, which gives so much for so many."""

from collections.abc import Callable

import pytest

from tasks.transfer.copy.width import Width

_SECOND = 20


def widths(gives: Callable[[int], float], seconds: float, *, waits: bool = True) -> list[int]:
    """Return the width at each twentieth of a second on a line that gives an amount a second for a width."""
    now = 0.0
    width = Width(8, 32, lambda: now)
    seen = []
    for _ in range(round(seconds * _SECOND)):
        now += 1 / _SECOND
        width.moved(gives(width.value) / _SECOND, waits=waits)
        seen.append(width.value)
    return seen


def test_a_line_that_gives_more_for_more_gets_as_many_as_there_may_be() -> None:
    seen = widths(lambda width: 10.0 * width, 2)
    assert seen[-1] == 32
    assert seen == sorted(seen)


def test_a_line_that_gives_no_more_is_tried_ever_less_often() -> None:
    seen = widths(lambda _: 100.0, 60)
    assert set(seen) == {8, 12}
    tried = sum(width == 12 for width in seen)
    assert tried < len(seen) / 12
    assert seen[-1] == 8


def test_the_width_stays_where_more_gives_no_more() -> None:
    seen = widths(lambda width: 10.0 * min(width, 18), 10)
    assert max(seen) == 27
    assert seen.count(18) > len(seen) / 2


def test_nothing_is_learnt_where_nothing_waits() -> None:
    assert set(widths(lambda width: 10.0 * width, 5, waits=False)) == {8}


@pytest.mark.parametrize("least", [1, 4])
def test_a_width_that_may_not_grow_does_not(least: int) -> None:
    now = 0.0
    width = Width(least, least, lambda: now)
    for _ in range(100):
        now += 0.1
        assert not width.moved(1.0, waits=True)
    assert width.value == least
