"""Versions and times in an order (BEHAVIOUR 10.4)."""

import itertools
import random

import pytest

from tasks.oci.version import Age, newest, order_of, said_age, semantic_key, time_key

# The precedence that semver.org 2.0.0 gives in item 11, with lenient forms of its own numbers around it.
RISING = (
    "0.9",
    "v1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1",
    "V1.2",
    "1.2.0.1",
    "1.10",
    "2",
    "2024.01.05",
)


@pytest.mark.parametrize(("lower", "higher"), list(itertools.combinations(RISING, 2)))
def test_semantic_versions_have_their_precedence(lower: str, higher: str) -> None:
    older, newer = semantic_key(lower), semantic_key(higher)
    assert older is not None
    assert newer is not None
    assert older < newer


@pytest.mark.parametrize(("one", "other"), [("1", "1.0.0"), ("v1.2", "1.2.0"), ("1.2.3+b1", "1.2.3+b2")])
def test_some_versions_are_the_same(one: str, other: str) -> None:
    assert semantic_key(one) == semantic_key(other)


@pytest.mark.parametrize("text", ["latest", "", "v", "1.", "1..2", "main-3", "1.2 ", "\u0661.2"])
def test_other_texts_are_no_versions(text: str) -> None:
    assert semantic_key(text) is None


def test_a_pattern_compares_its_groups_in_their_order() -> None:
    order = order_of(r"build-(\d+)-([a-z]+)(?:-(\d+))?")
    rising = ["build-9-z", "build-10-a", "build-10-b", "build-11-a"]
    shuffled = random.Random(1).sample(rising, len(rising))
    assert sorted(shuffled, key=lambda text: order(text) or ()) == rising
    assert order("1.2.3") is None


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:06Z"),
        ("2024-01-02T03:04:05.123456789Z", "2024-01-02T02:04:06-01:00"),
        ("2024-01-02", "2024-01-02T00:00:01"),
    ],
)
def test_times_are_moments(older: str, newer: str) -> None:
    first, second = time_key(older), time_key(newer)
    assert first is not None
    assert second is not None
    assert first < second


@pytest.mark.parametrize("text", ["", "yesterday", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"])
def test_clocks_that_were_stopped_tell_no_time(text: str) -> None:
    assert time_key(text) is None


def test_the_newest_of_several_counts_and_others_do_not() -> None:
    assert newest(["latest", "1.9", "1.10", "x"], semantic_key)[0] == "1.10"
    assert newest(["latest"], semantic_key) == ("", None)


@pytest.mark.parametrize(
    ("content", "age"),
    [
        (
            b'{"annotations":{"org.opencontainers.image.version":"1","org.opencontainers.image.created":"t"}}',
            Age(("1",), ("t",)),
        ),
        (b'{"created":"t","config":{"Labels":{"org.opencontainers.image.version":"2"}}}', Age(("2",), ("t",))),
        (b'{"created":"t","config":{"Labels":null}}', Age((), ("t",))),
        (b'{"annotations":null,"config":{"digest":"sha256:x"}}', Age()),
        (b'{"annotations":[]}', Age()),
        (b"\xff", Age()),
        (b"[" * 100_000, Age()),
    ],
)
def test_the_age_is_read_from_annotations_and_labels(content: bytes, age: Age) -> None:
    assert said_age(content) == age


@pytest.mark.parametrize("pattern", [None, r"(\d+)", r"(\d+)(?:-(\d+))?"])
@pytest.mark.parametrize("text", ["9" * 5000, f"1.{'9' * 5000}", f"1-{'9' * 5000}", "1" * 257])
def test_a_text_that_is_too_long_is_no_version(pattern: str | None, text: str) -> None:
    """Anybody may label an image so; Python reads no number of thousands of digits."""
    assert order_of(pattern)(text) is None
