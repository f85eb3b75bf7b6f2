"""The JSON schema that ships: what the types say, what the documented forms are, and nothing else."""

import json
from importlib.resources import files
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from tasks import contract
from tasks.errors import RequestInvalid
from tasks.transfer.request.target import Target
from tasks.transfer.request.validation import validate

SHIPPED = files("tasks").joinpath("schema.v1.json").read_text()
VALIDATOR = Draft202012Validator(json.loads(SHIPPED))
DIGEST = f"sha256:{'0' * 64}"

ITEM: dict[str, Any] = {"source": "127.0.0.1:1/ns/app:1", "destinations": {"127.0.0.1:2/ns/app": ["1", "latest"]}}
PUBTOOLS_ITEM: dict[str, Any] = {
    "metadata": {
        "pull_url": "registry.example/ns/app:1",
        "tags": {"ns/app": ["1"]},
        "build": {"extra": {"image": {"sources_for_nvr": "app-1-1"}}},
    }
}
REPORT: dict[str, Any] = {
    "push_id": "p",
    "producer": "ci",
    "state": "partial",
    "items": [
        {
            "source": "registry.example/ns/app:1",
            "kind": "multi-arch",
            "digest": DIGEST,
            "error": None,
            "tags": [
                {
                    "reference": "registry.example/prod/app:1",
                    "action": "merged",
                    "old_digest": DIGEST,
                    "new_digest": DIGEST,
                    "kept_platforms": ["linux/s390x"],
                    "protective_tag": "1.merged-0",
                    "warnings": [{"code": "manifest_overwritten", "message": "A single manifest is overwritten."}],
                    "referrers": {"application/spdx+json": 1},
                    "referrers_left": [
                        {"digest": DIGEST, "artifact_type": "application/x", "reason": "merged", "error": None}
                    ],
                    "error": None,
                },
                {
                    "reference": "registry.example/prod/app:2",
                    "action": "failed",
                    "old_digest": None,
                    "new_digest": None,
                    "kept_platforms": [],
                    "protective_tag": None,
                    "warnings": [],
                    "referrers": {},
                    "referrers_left": [],
                    "error": {"code": "tag_conflict", "message": "Someone else writes this tag.", "side": None},
                },
            ],
        }
    ],
    "totals": {
        "bytes_copied": 1,
        "blobs_copied": 1,
        "blobs_mounted": 0,
        "blobs_skipped": 0,
        "manifests_copied": 1,
        "seconds": 0.5,
    },
    "warnings": ["registry.example: maintenance on Sunday"],
}


def test_what_ships_is_what_the_types_say() -> None:
    generated = json.dumps(contract.schema(), indent=2) + "\n"
    assert generated == SHIPPED, (
        "write json.dumps(tasks.contract.schema(), indent=2) with a newline to tasks/schema.v1.json"
    )


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(json.loads(SHIPPED))


@pytest.mark.parametrize(
    "request_",
    [
        {"items": [ITEM]},
        {"push_id": "nightly:2024-01-01.1", "items": [ITEM], "atomic": "item"},
        {"target": "stage", "items": [{"source": "app:1", "destinations": {"ns/app": ["1"]}}], "atomic": "push"},
        {"items": [ITEM | {"kind": "source"}]},
        {"items": [ITEM | {"kind": "auto", "single_arch": "refuse", "platforms": ["linux/amd64"], "merge": False}]},
        {"items": [ITEM | {"single_arch": "copy"}]},
        {"items": [ITEM | {"referrers": "none", "referrers_required": False}]},
        {"items": [ITEM | {"referrers": ["application/spdx+json"], "referrers_required": True}]},
        {"items": [ITEM | {"kind": "image"}], "tries": 2},
        {"items": [ITEM | {"destinations": {"127.0.0.1:2/ns/app": [DIGEST]}}]},
        {"push_items": [], "target_settings": {"quay_namespace": "ns"}},
        {"target_settings": {"quay_namespace": "ns", "skopeo_image": "x"}, "push_items": [PUBTOOLS_ITEM]},
        {"push_items": [{"metadata": {"pull_url": "h.example/a:1", "tags": {"h.example/b": ["1"]}, "build": None}}]},
        {"push_items": [PUBTOOLS_ITEM | {"origin": "pub"}], "target_settings": {"quay_namespace": "ns"}},
        {"push_id": None, "target": None, "target_settings": None, "items": [ITEM], "push_items": None},
    ],
)
def test_each_form_of_the_request_is_valid_here_and_to_the_program(request_: dict[str, Any]) -> None:
    VALIDATOR.validate(request_)
    validate(request_, {"stage": Target("registry.example", "team")})


@pytest.mark.parametrize(
    "request_",
    [
        {},
        [],
        {"items": []},
        {"push_items": {}},
        {"items": [ITEM], "tries": 0},
        {"items": [ITEM], "push_items": [PUBTOOLS_ITEM]},
        {"items": [ITEM], "item": []},
        {"items": [ITEM], "target": "a", "target_settings": {}},
        {"items": [ITEM], "push_id": ""},
        {"items": [ITEM], "push_id": "-"},
        {"items": [ITEM], "push_id": 5},
        {"items": [ITEM], "push_id": "x" * 129},
        {"items": [ITEM], "atomic": True},
        {"items": [ITEM | {"referrers": "some"}]},
        {"items": [ITEM | {"referrers": []}]},
        {"items": [ITEM | {"referrers": [""]}]},
        {"items": [ITEM | {"referrers": [1]}]},
        {"items": [ITEM | {"referrers_required": "yes"}]},
        {"items": [ITEM], "atomic": "tag"},
        {"items": [ITEM | {"destination": {}}]},
        {"items": [{"source": "a:1"}]},
        {"items": [{"destinations": {"h.example/a": ["1"]}}]},
        {"items": [ITEM | {"source": None}]},
        {"items": [ITEM | {"destinations": {}}]},
        {"items": [ITEM | {"destinations": ["h.example/a:1"]}]},
        {"items": [ITEM | {"destinations": {"h.example/a": "1"}}]},
        {"items": [ITEM | {"destinations": {"h.example/a": []}}]},
        {"items": [ITEM | {"destinations": {"h.example/a": [1.2]}}]},
        {"items": [ITEM | {"destinations": {"h.example/a": [""]}}]},
        {"items": [ITEM | {"destinations": {"h.example/a": ["a:b"]}}]},
        {"items": [ITEM | {"destinations": {"h.example/a": ["x" * 129]}}]},
        {"items": [ITEM | {"kind": "multi-arch"}]},
        {"items": [ITEM | {"single_arch": "allow"}]},
        {"items": [ITEM | {"platforms": "linux/amd64"}]},
        {"items": [ITEM | {"merge": "yes"}]},
        {"push_items": [{"pull_url": "h.example/a:1", "tags": {"h.example/b": ["1"]}}]},
        {"push_items": [{"metadata": {"tags": {"h.example/b": ["1"]}}}]},
        {"push_items": [{"metadata": {"pull_url": "h.example/a:1"}}]},
        {"push_items": [{"metadata": {"pull_url": "h.example/a:1", "tags": {"h.example/b": "1"}}}]},
    ],
)
def test_what_is_no_request_is_refused_here_and_by_the_program(request_: Any) -> None:
    """Rule 1.2."""
    assert not VALIDATOR.is_valid(request_)
    with pytest.raises(RequestInvalid):
        validate(request_, {})


def test_a_report_is_valid_and_has_the_structure_of_its_types() -> None:
    VALIDATOR.validate(REPORT)
    assert msgspec.to_builtins(msgspec.convert(REPORT, contract.PushReport)) == REPORT


@pytest.mark.parametrize(
    "path",
    [
        ("push_id",), ("state",), ("items",), ("totals",), ("totals", "seconds"), ("totals", "bytes_copied"),
        ("items", 0, "kind"), ("items", 0, "digest"), ("items", 0, "tags"), ("items", 0, "tags", 0, "action"),
        ("items", 0, "tags", 0, "old_digest"), ("items", 0, "tags", 0, "error"),
        ("items", 0, "tags", 1, "error", "code"),
    ],
)  # fmt: skip
def test_a_report_lacks_no_key_and_has_no_other_type(path: tuple[str | int, ...]) -> None:
    for wrong in ([], ["wrong"]):
        report = json.loads(json.dumps(REPORT))
        parent = report
        for step in path[:-1]:
            parent = parent[step]
        del parent[path[-1]]
        if wrong:
            parent[path[-1]] = wrong
        assert not VALIDATOR.is_valid(report)


@pytest.mark.parametrize("word", ["", "done", "COPIED"])
def test_an_action_is_one_of_those_documented(word: str) -> None:
    report = json.loads(json.dumps(REPORT))
    report["items"][0]["tags"][0]["action"] = word
    assert not VALIDATOR.is_valid(report)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"items": [1]}, {"items": [1], "push_id": "p"}, True),
        ({"items": [1], "push_id": None}, {"items": [1]}, True),
        ({"items": [1]}, {"items": [2], "push_id": "p"}, False),
        ({"items": [1]}, {"items": [1], "atomic": "push"}, False),
        (None, {"items": [1]}, False),
        ([1], [1], True),
    ],
)
def test_a_request_is_the_same_with_its_id_in_it_or_beside_it(one: Any, other: Any, same: bool) -> None:
    assert contract.is_same_request(one, other) is same
    assert contract.is_same_request(other, one) is same
