"""Ages and dates as people write them."""

from datetime import UTC, datetime

import pytest

from workers.cli.points_in_time import parse_since

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("90m", 5400), ("2h", 7200), ("3d", 259_200), ("1w", 604_800), ("2 h", 7200), (" 2h ", 7200)],
)
def test_an_age_counts_from_now(text: str, seconds: int) -> None:
    assert parse_since(text, NOW) == NOW - seconds


@pytest.mark.parametrize("text", ["2024-12-31T00:00:00+00:00", "2024-12-31T00:00Z", "2024-12-31T01:00+01:00"])
def test_a_date_is_a_moment(text: str) -> None:
    assert parse_since(text, NOW) == datetime(2024, 12, 31, tzinfo=UTC).timestamp()


def test_a_date_without_a_zone_is_of_this_machine() -> None:
    assert parse_since("2024-12-31", NOW) == datetime(2024, 12, 31).astimezone().timestamp()


@pytest.mark.parametrize("text", ["", "2", "h", "-2h", "2y", "yesterday", "2024-13-01"])
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="neither an age"):
        parse_since(text, NOW)
