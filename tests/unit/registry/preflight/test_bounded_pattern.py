"""Which patterns of a registry are matched, and which could stop the worker."""

import pytest

from tasks.registry.preflight.bounded_pattern import is_bounded


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "^v[0-9]+$",
        r"^v\d+\.\d+\.\d+$",
        "release-.*",
        "^(latest|stable|v1|v2)$",
        r"^(?P<major>v\d+)$",
        r"\(\(\(\*\*\*\+\+",
        "[*+?{(|]",
        "[]*+?{(]x",
    ],
)
def test_a_pattern_as_people_write_it_is_bounded(pattern: str) -> None:
    assert is_bounded(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a|a)*$",
        "(?:a|aa){1,60}$",
        "(a|a)" * 60,
        "a?" * 60 + "a" * 60,
        ".*.*.*.*.*b",
        r"(\.\d+)*",
        "(?=(a+))+b",
        "|".join("a" * 40),
        "a" * 1001,
    ],
)
def test_a_pattern_that_multiplies_its_ways_to_match_is_not(pattern: str) -> None:
    assert not is_bounded(pattern)
