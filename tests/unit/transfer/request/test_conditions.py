"""The conditions of an item, from its request and its target (BEHAVIOUR 10.2 to 10.4)."""

from typing import Any

import pytest

from tasks.oci.platform import Platform
from tasks.oci.reference import Reference
from tasks.transfer.request.conditions import Conditions, Expectation
from tasks.transfer.request.target import Target
from tasks.transfer.request.validation import validate
from tests.unit.transfer.request.requests import DIGEST, fields, item, read_item

TWO = {"b.example/x": ["1", "2"], "b.example/y": ["1"]}


def tag(text: str) -> Reference:
    return Reference.parse(f"b.example/{text}")


def test_an_item_without_conditions_has_none() -> None:
    assert read_item().conditions == Conditions()


@pytest.mark.parametrize(
    ("expect", "expected"),
    [
        ({"1": DIGEST}, [Expectation(tag("x:1"), DIGEST), Expectation(tag("y:1"), DIGEST)]),
        ({"b.example/x:1": "absent"}, [Expectation(tag("x:1"), None)]),
        ({"2": "absent"}, [Expectation(tag("x:2"), None)]),
    ],
)
def test_expectations_name_a_tag_of_each_repository_or_of_one(
    expect: dict[str, str], expected: list[Expectation]
) -> None:
    """Rule 10.2."""
    assert list(read_item(destinations=TWO, expect=expect).conditions.expect) == expected


def test_conditions_of_a_target_are_those_of_each_item_and_are_not_softened() -> None:
    """Rules 10.2 to 10.4."""
    target = Target(
        immutable=("v*",),
        platform_removal="refuse",
        forward_only="created",
        version_pattern=r"(\d+)",
        keep_replaced=True,
    )
    said = item(platform_removal="allow", overwrite="same", require_platforms=["linux/amd64"], irreversible="accept")
    (read,) = validate({"items": [said], "target": "t"}, {"t": target}).items
    assert read.conditions == Conditions(
        overwrite="same",
        immutable=("v*",),
        require_platforms=(Platform("linux", "amd64"),),
        keeps_platforms=True,
        forward_only="created",
        version_pattern=r"(\d+)",
    )
    assert read.irreversible == "accept"


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({"expect": []}, "expect"),
        ({"expect": {"1": None}}, "expect.1"),
        ({"expect": {"1": "sha256:x"}}, "expect.1"),
        ({"expect": {"3": DIGEST}}, "expect.3"),
        ({"expect": {"b.example/other:1": DIGEST}}, "expect.b.example/other:1"),
        ({"overwrite": "sometimes"}, "overwrite"),
        ({"require_platforms": "linux/amd64"}, "require_platforms"),
        ({"require_platforms": ["amd64"]}, "require_platforms"),
        ({"platform_removal": True}, "platform_removal"),
        ({"forward_only": True}, "forward_only"),
        ({"irreversible": None}, "irreversible"),
    ],
)
def test_a_condition_that_is_none_is_a_fault(said: dict[str, Any], where: str) -> None:
    """Rule 1.2."""
    assert fields({"items": [item(**said)]}) == [(0, where)]
