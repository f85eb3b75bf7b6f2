"""What the guides say of codes, metrics, files, requests and other programs' settings is so."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from jsonschema import Draft202012Validator
from msgspec import structs

from tasks import contract, errors
from tasks.celery_glue.signature import HEADER
from tasks.errors import ImagePusherError
from tasks.transfer.request import pubtools
from tasks.transfer.request.faults import Faults
from tests.docs.readme import ROOT, Block, document, everything, examples, guides, operating, readme, using
from workers.observability.backlog import Backlog
from workers.observability.metrics import worker_metrics

_VALIDATOR: Final = Draft202012Validator(json.loads(files("tasks").joinpath("schema.v1.json").read_text()))

_FROM_QUAY: Final = document("deploy/examples/migrate-from-pubtools-quay.md")


def codes(kind: type[ImagePusherError]) -> set[str]:
    return {kind.code}.union(*map(codes, kind.__subclasses__()))


def spans(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_error_code_is_in_the_table_once_and_no_other_is() -> None:
    rows = [row for row in using().rows("Error codes") if re.fullmatch(r"`[a-z_]+`(, `[a-z_]+`)*", row[0])]
    named = [code for row in rows for code in spans(row[0])]
    assert len(named) == len(set(named))
    assert set(named) == codes(ImagePusherError)
    assert all(row[1] and row[2] for row in rows)


def test_every_error_class_is_covered_by_its_code() -> None:
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ImagePusherError)]
    assert {each.code for each in classes} == codes(ImagePusherError)


def test_every_metric_is_in_the_table_and_no_other_is() -> None:
    registry, _ = worker_metrics(lambda: Backlog({"imagepusher.push": 0}, [0.0]))
    existing = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in registry.collect()
        if family.name.startswith("imagepusher_")
    }
    assert {name for row in operating().rows("Logs, metrics, traces") for name in spans(row[0])} == existing


def test_every_fault_names_a_test_that_exists() -> None:
    rows = [row for row in operating().rows("When something breaks") if "tests/" in row[-1]]
    assert len(rows) > 10
    for row in rows:
        assert len(row) == 3
        for path in spans(row[2]):
            assert (ROOT / path).is_file(), path
            assert Path(path).name.startswith("test_"), path


def test_every_test_of_a_fault_is_named() -> None:
    named = {span for span, _ in operating().spans()}
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "chaos").rglob("test_*.py")} <= named


def test_every_test_of_a_deployment_exists_and_so_does_every_file_of_deploy_that_a_reader_needs() -> None:
    shown = {
        path.name for path in (ROOT / "deploy").iterdir() if path.is_dir() and not path.name.startswith(("_", "."))
    }
    assert {name for name in shown - {"secrets"} if f"deploy/{name}" not in everything()} == set()


@pytest.mark.parametrize("block", using().of("json", "Request and report"), ids=str)
def test_requests_and_reports_follow_the_schema_and_show_every_key(block: Block) -> None:
    document = json.loads(block.text)
    _VALIDATOR.validate(document)
    if "items" in document and "state" in document:
        assert document.keys() == names(contract.PushReport)
        assert document["items"][0].keys() == names(contract.ItemReport)
        assert document["items"][0]["tags"][0].keys() == names(contract.TagReport)
        assert document["totals"].keys() == names(contract.Totals)
    else:
        assert document["items"][0].keys() == names(contract.PushItem)


def test_every_key_of_a_request_is_in_the_table() -> None:
    rows = [row for row in using().rows("Request and report") if len(row) == 3]
    expected = {f"items[].{name}" for name in names(contract.PushItem)} | names(contract.PushRequest)
    # The two forms of the list are what the sentences around are about.
    assert {row[0].strip("`") for row in rows} == expected - {"items", "push_items"}


def test_the_request_in_yaml_follows_the_schema() -> None:
    (block,) = readme().of("yaml")
    _VALIDATOR.validate(yaml.safe_load(block.text))


def test_the_event_shows_every_key() -> None:
    (block,) = operating().of("json", "What comes after a push")
    assert json.loads(block.text).keys() == names(contract.TagMoved)


def test_every_json_block_is_one_that_is_looked_at() -> None:
    assert {block.section for guide in guides() for block in guide.of("json")} == {
        "Request and report",
        "The message",
        "What comes after a push",
    }


def test_the_message_that_is_shown_is_one_that_workers_take() -> None:
    headers, body = (json.loads(block.text) for block in examples().of("json", "The message"))
    assert headers.keys() == {"task", "id", HEADER}
    assert headers["task"] == contract.PUSH_TASK
    (request,), keywords, options = body
    _VALIDATOR.validate(request)
    assert (keywords, options) == ({}, {})


def names(kind: type[Any]) -> set[str]:
    return {field.name for field in structs.fields(kind)}


def quay_settings() -> list[tuple[str, str]]:
    """Return every target setting of pubtools-quay that the guide names, with what it says becomes of it."""
    rows = [row for row in _FROM_QUAY.rows("Target settings") if not row[0].startswith("hook")]
    return [(key, row[1]) for row in rows for key in spans(row[0])]


@pytest.mark.parametrize(("key", "becomes"), quay_settings())
def test_what_becomes_of_a_setting_of_pubtools_quay_is_so(key: str, becomes: str) -> None:
    faults, warnings = Faults(), list[str]()
    numbers, flags = {"tag_images_tries", "num_thread_container_push"}, {"allow_v1_containers", "merge"}
    value = 4 if key in numbers else True if key in flags else "value"
    pubtools.read_target({"quay_namespace": "team", key: value}, faults, warnings)
    reasons = [fault["field"] for fault in faults.found]
    if "refused" in becomes or "[registries" in becomes:
        assert reasons
    elif "ignored" in becomes or "not needed" in becomes:
        assert not reasons
        assert len(warnings) == 1
        assert key in warnings[0]
    else:
        assert not reasons
        assert not warnings


def test_every_setting_that_is_used_is_named() -> None:
    named = {key for key, _ in quay_settings()}
    assert named >= pubtools.USED | {key for pair in pubtools.CREDENTIAL_PAIRS for key in pair}
