"""Whatever JSON a producer sends: a valid request or RequestInvalid, never a traceback (BEHAVIOUR section 1)."""

import copy
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.errors import RequestInvalid
from tasks.transfer.request.pubtools import USED
from tasks.transfer.request.target import Target
from tasks.transfer.request.valid import ValidRequest
from tasks.transfer.request.validation import validate
from tests.support.strategies import json_values, references

TARGETS = {"shop": Target(host="quay.example", namespace="shop", naming="quay")}

NATIVE: dict[str, Any] = {
    "push_id": "p",
    "atomic": "item",
    "items": [
        {
            "source": "a.example/app:1",
            "destinations": {"b.example/app": ["1", "2"]},
            "kind": "auto",
            "single_arch": "copy",
            "platforms": ["linux/amd64"],
            "merge": True,
        }
    ],
}
PUBTOOLS: dict[str, Any] = {
    "push_items": [
        {
            "metadata": {
                "pull_url": "a.example/app:1",
                "tags": {"ns/app": ["1"]},
                "build": {"extra": {"image": {"sources_for_nvr": "x"}}},
            }
        }
    ],
    "target_settings": {"quay_host": "q.example", "quay_namespace": "ns", "tag_images_tries": 3, "docker_settings": {}},
}


def outcome(request: Any) -> ValidRequest | RequestInvalid:
    try:
        return validate(request, TARGETS)
    except RequestInvalid as refusal:
        invalid = refusal
    assert invalid.faults
    for fault in invalid.faults:
        assert fault.keys() == {"item", "field", "reason"}
        assert fault["item"] is None or isinstance(fault["item"], int)
        assert isinstance(fault["field"], str)
        assert isinstance(fault["reason"], str)
        assert len(fault["field"]) < 400
        assert len(fault["reason"]) < 1000
    # A result store carries it.
    assert json.loads(json.dumps(invalid.faults)) == invalid.faults
    return invalid


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            found += places(inner, (*path, number))
    return found


def with_value(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(document)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


@given(json_values())
@example({"items": [{"_fields": 1}]})
@example({"items": [{"source": "\ud800", "destinations": {"\ud800": ["\ud800"]}}]})
def test_any_json_is_an_order_or_refused(value: Any) -> None:
    """Rule 1.2."""
    assert isinstance(outcome(value), RequestInvalid)
    for key in ("items", "push_items"):
        if (key, value) != ("push_items", []):
            assert isinstance(outcome({key: value}), RequestInvalid)
        assert isinstance(outcome({key: [value]}), RequestInvalid)


@pytest.mark.parametrize("document", [NATIVE, PUBTOOLS], ids=["native form", "form of pubtools-quay"])
@given(st.data())
def test_a_valid_request_with_anything_in_some_place_is_an_order_or_refused(
    document: dict[str, Any], data: st.DataObject
) -> None:
    """Rule 1.2."""
    path = data.draw(st.sampled_from(places(document)))
    outcome(with_value(document, path, data.draw(json_values())))


@pytest.mark.parametrize("document", [NATIVE, PUBTOOLS], ids=["native form", "form of pubtools-quay"])
@given(st.data())
def test_a_valid_request_with_one_more_key_is_refused_or_says_why_not(
    document: dict[str, Any], data: st.DataObject
) -> None:
    """Rule 1.2: a typing error never passes in silence; only metadata may hold more."""
    holders = [path for path in places(document) if path[-1:] not in {("destinations",), ("tags",)}]
    path = data.draw(st.sampled_from([path for path in holders if isinstance(at(document, path), dict)]))
    holder = at(document, path)
    known = holder.keys() | USED | {"items", "push_items", "target", "target_settings", "atomic", "push_id"}
    key = data.draw(st.text(min_size=1, max_size=8).filter(lambda text: text not in known))
    found = outcome(with_value(document, (*path, key), data.draw(json_values())))
    ignored = path[:1] == ("push_items",) or path[:2] == ("target_settings", "docker_settings")
    if not ignored and isinstance(found, ValidRequest):
        assert any(key in warning for warning in found.warnings) or at(document, path).get(key) in {None, ""}


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        document = document[step]
    return document


@given(references(), references())
def test_every_reference_of_the_grammar_is_taken_as_it_is(source: Any, destination: Any) -> None:
    """Rules 1.3 and 1.4."""
    request = {"items": [{"source": str(source), "destinations": {destination.name: ["1"]}}]}
    found = outcome(request)
    if source.identifier:
        assert isinstance(found, ValidRequest)
        assert str(found.items[0].source) == str(source)
        assert str(found.items[0].destinations[0]) == f"{destination.name}:1"
    else:
        assert isinstance(found, RequestInvalid)


def test_a_request_with_tens_of_thousands_of_faults_is_refused_with_all_of_them() -> None:
    """Rule 1.2: the message shows the first, the list has all."""
    repositories = {f"b.example/r{number}": ["-"] for number in range(50_000)}
    found = outcome({"items": [{"source": "a.example/app:1", "destinations": repositories}]})
    assert isinstance(found, RequestInvalid)
    assert len(found.faults) == 50_000
    assert len(str(found)) < 20_000


def test_a_request_that_is_nested_without_end_is_refused() -> None:
    """Rule 1.2."""
    deep: Any = []
    for _ in range(50_000):
        deep = [deep]
    for request in ({"items": deep}, {"items": [{"source": deep}]}, PUBTOOLS | {"target_settings": {"x": deep}}):
        assert isinstance(outcome(request), RequestInvalid)
