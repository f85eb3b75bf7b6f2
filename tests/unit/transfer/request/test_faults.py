"""A list of faults that many add to."""

from typing import Any

import pytest

from tasks.errors import RequestInvalid
from tasks.oci.reference import parse_tag
from tasks.transfer.request.faults import Faults


def test_views_add_to_one_list_each_under_its_item() -> None:
    """Rule 1.2."""
    faults = Faults()
    faults.of(3).add("tags", "is wrong")
    faults.add("target", "is wrong too")
    assert faults.found == [
        {"item": 3, "field": "tags", "reason": "is wrong"},
        {"item": None, "field": "target", "reason": "is wrong too"},
    ]
    with pytest.raises(RequestInvalid) as refusal:
        faults.raise_any()
    assert refusal.value.message == "The request has 2 faults: target: is wrong too; item 3, tags: is wrong."
    assert refusal.value.faults == faults.found


def test_no_fault_raises_nothing() -> None:
    Faults().raise_any()


@pytest.mark.parametrize(
    ("value", "kind", "reason"),
    [
        (None, str, "is missing"),
        (1, str, "must be X, not a number"),
        (1.5, str, "must be X, not a number"),
        (True, int, "must be X, not a boolean"),
        ([], dict, "must be X, not a list"),
        ({}, list, "must be X, not an object"),
        ("", list, "must be X, not a string"),
        (b"", str, "must be X, not bytes"),
    ],
)
def test_a_value_of_another_kind_is_a_fault(value: Any, kind: type, reason: str) -> None:
    """Rule 1.2."""
    faults = Faults()
    assert faults.expect("field", value, kind, "X") is None
    assert [fault["reason"] for fault in faults.found] == [reason]


@pytest.mark.parametrize(("value", "kind"), [("x", str), (1, int), (False, bool), ([], list), ({}, dict)])
def test_a_value_of_its_kind_is_returned(value: Any, kind: type) -> None:
    faults = Faults()
    assert faults.expect("field", value, kind, "X") == value
    assert faults.found == []


def test_what_cannot_be_parsed_is_a_fault_with_the_parser_s_reason() -> None:
    faults = Faults()
    assert faults.read("tag", parse_tag, "1") == "1"
    assert faults.read("tag", parse_tag, "-") is None
    assert len(faults.found) == 1
    assert "is not a tag" in faults.found[0]["reason"]


def test_unknown_keys_are_named_in_order_and_in_part() -> None:
    """Rule 1.2: the same request has the same faults."""
    faults = Faults()
    faults.unknown("a.", {"z": 1, "b": 1, "known": 1, "x" * 500: 1}, frozenset({"known"}))
    assert [fault["field"] for fault in faults.found] == ["a.b", f"a.{'x' * 98}", "a.z"]


def test_the_message_has_twenty_faults_and_counts_the_rest() -> None:
    """Rule 1.2."""
    faults = Faults()
    for number in range(23):
        faults.of(number).add("x", "y")
    with pytest.raises(RequestInvalid) as refusal:
        faults.raise_any()
    assert refusal.value.message.startswith("The request has 23 faults: item 0, x: y; ")
    assert refusal.value.message.endswith("item 19, x: y; and 3 more.")
    assert len(refusal.value.faults) == 23
