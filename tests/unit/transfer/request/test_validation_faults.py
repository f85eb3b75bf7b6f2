"""A request is checked whole: all faults at once, each with item, field and reason (BEHAVIOUR section 1)."""

from typing import Any

import pytest

from tasks.errors import RequestInvalid
from tests.unit.transfer.request.requests import DIGEST, faults, fields, item, pubtools, pubtools_item, read, reason


@pytest.mark.parametrize(
    ("build", "where"),
    [
        ("app-1-1", "metadata.build"),
        ([], "metadata.build"),
        ({"extra": "x"}, "metadata.build.extra"),
        ({"extra": {"image": [1]}}, "metadata.build.extra.image"),
    ],
)
def test_a_build_that_is_none_is_a_fault(build: Any, where: str) -> None:
    """Rule 1.2."""
    assert fields(pubtools(pubtools_item(build=build))) == [(0, where)]


@pytest.mark.parametrize("request_", [None, [], "x", 1, True, 1.5])
def test_a_request_that_is_no_object_is_a_fault(request_: Any) -> None:
    """Rule 1.2."""
    assert fields(request_) == [(None, "request")]


@pytest.mark.parametrize(
    ("request_", "where"),
    [
        ({}, "items"),
        ({"items": []}, "items"),
        ({"items": None}, "items"),
        ({"items": {}}, "items"),
        ({"items": "x"}, "items"),
        ({"push_items": {}}, "push_items"),
        ({"items": [item()], "tries": 0}, "tries"),
        ({"items": [item()], "tries": "3"}, "tries"),
        ({"push_items": "x"}, "push_items"),
        ({"items": [item()], "push_items": [pubtools_item()]}, "items"),
        ({"items": [item()], "push_id": ""}, "push_id"),
        ({"items": [item()], "push_id": 7}, "push_id"),
        ({"items": [item()], "push_id": "-x"}, "push_id"),
        ({"items": [item()], "push_id": "a b"}, "push_id"),
        ({"items": [item()], "push_id": "x" * 129}, "push_id"),
        ({"items": [item()], "push_id": "x\n"}, "push_id"),
        ({"items": [item()], "atomic": "all"}, "atomic"),
        ({"items": [item()], "atomic": ["push"]}, "atomic"),
        ({"items": [item()], "atomic": True}, "atomic"),
        ({"items": [item()], "target": "nowhere"}, "target"),
        ({"items": [item()], "target": 1}, "target"),
        ({"items": [item()], "target": ["shop"]}, "target"),
        ({"items": [item()], "target": "shop", "target_settings": {"quay_namespace": "x"}}, "target"),
        ({"items": [item()], "target_settings": []}, "target_settings"),
        ({"items": [item()], "target_settings": {}}, "target_settings.quay_namespace"),
        ({"items": [item()], "colour": "red"}, "colour"),
    ],
)
def test_a_fault_of_the_request_names_its_field(request_: Any, where: str) -> None:
    """Rule 1.2."""
    assert fields(request_) == [(None, where)]


@pytest.mark.parametrize(
    ("changes", "where", "why"),
    [
        ({"source": None}, "source", "is missing"),
        ({"source": 1}, "source", "must be a string, not a number"),
        ({"source": ["a/b:1"]}, "source", "must be a string, not a list"),
        ({"source": ""}, "source", "the repository name is empty"),
        ({"source": "a.example/app"}, "source", "has neither a tag nor a digest: write a.example/app:TAG"),
        ({"source": "a.example/App:1"}, "source", "is not a repository name"),
        ({"source": "a.example/app:"}, "source", "is not a tag"),
        ({"source": f"a.example/app:{'1' * 129}"}, "source", "at most 128"),
        ({"source": f"a.example/{'a' * 256}:1"}, "source", "more than 255 characters"),
        ({"source": "a.example/app@sha256:12"}, "source", "hexadecimal"),
        ({"source": "a.example:99999/app:1"}, "source", "is not a registry host"),
        ({"source": "oci:folder:1"}, "source", "is not a tag"),
        ({"destinations": None}, "destinations", "is missing"),
        ({"destinations": {}}, "destinations", "is empty"),
        ({"destinations": ["b.example/app"]}, "destinations", "must be an object"),
        ({"destinations": "b.example/app:1"}, "destinations", "must be an object"),
        (
            {"destinations": {"b.example/app": "1"}},
            "destinations.b.example/app",
            "must be a list of tags, not a string",
        ),
        ({"destinations": {"b.example/app": None}}, "destinations.b.example/app", "is missing"),
        ({"destinations": {"b.example/app": []}}, "destinations.b.example/app", "has no tags"),
        ({"destinations": {"b.example/app": [1]}}, "destinations.b.example/app", "not a number"),
        ({"destinations": {"b.example/app": [None]}}, "destinations.b.example/app", "is missing"),
        ({"destinations": {"b.example/app": [""]}}, "destinations.b.example/app", "is not a tag"),
        ({"destinations": {"b.example/app": ["sha256:1"]}}, "destinations.b.example/app", "hexadecimal"),
        ({"destinations": {"b.example/app": ["1@x"]}}, "destinations.b.example/app", "is not a tag"),
        ({"destinations": {"b.example/app": [".x"]}}, "destinations.b.example/app", "is not a tag"),
        ({"destinations": {"b.example/app": ["x" * 129]}}, "destinations.b.example/app", "is not a tag"),
        ({"destinations": {"b.example/APP": ["1"]}}, "destinations.b.example/APP", "is not a repository name"),
        ({"destinations": {"b.example/": ["1"]}}, "destinations.b.example/", "is empty"),
        ({"destinations": {"": ["1"]}}, "destinations.", "is empty"),
        ({"destinations": {"app": ["1"]}}, "destinations.app", "carries no registry host"),
        ({"destinations": {"b.example/app:1": ["1"]}}, "destinations.b.example/app:1", "not a reference"),
        ({"kind": "list"}, "kind", "must be one of auto, source, image"),
        ({"kind": None}, "kind", "must be one of"),
        ({"kind": ["source"]}, "kind", "must be one of"),
        ({"single_arch": "push"}, "single_arch", "must be one of refuse, copy, merge"),
        ({"merge": "yes"}, "merge", "must be a boolean, not a string"),
        ({"merge": 1}, "merge", "must be a boolean, not a number"),
        ({"platforms": "linux/amd64"}, "platforms", "must be a list, not a string"),
        ({"platforms": [1]}, "platforms", "must be a string, not a number"),
        ({"platforms": ["amd64"]}, "platforms", "is not a platform such as"),
        ({"platforms": ["linux/amd64"], "kind": "source"}, "platforms", "cannot be chosen for a source image"),
        ({"colour": "red"}, "colour", "is not a known key"),
        ({"_fields": 5}, "_fields", "is not a known key"),
        ({"metadata": {}}, "metadata", "is not a known key"),
    ],
)
def test_a_fault_of_an_item_names_its_item_field_and_reason(changes: dict[str, Any], where: str, why: str) -> None:
    """Rule 1.2."""
    found = faults({"items": [item(destinations={"b.example/first": ["1"]}), item(**changes)]})
    assert [(number, field) for number, field, _ in found] == [(1, where)]
    assert why in found[0][2]


@pytest.mark.parametrize(
    ("entry", "where"),
    [
        (None, "item"),
        ("x", "item"),
        ([], "item"),
        ({}, "metadata"),
        ({"metadata": None}, "metadata"),
        ({"metadata": []}, "metadata"),
        (pubtools_item(pull_url=None), "metadata.pull_url"),
        (pubtools_item(pull_url="a.example/app"), "metadata.pull_url"),
        (pubtools_item(tags=None), "metadata.tags"),
        (pubtools_item(tags={}), "metadata.tags"),
        (pubtools_item(tags={"ns/app": "1"}), "metadata.tags.ns/app"),
        (pubtools_item(tags={"ns/app": []}), "metadata.tags.ns/app"),
        (pubtools_item(tags={"a/b/c": ["1"]}), "metadata.tags.a/b/c"),
        (pubtools_item(tags={"/app": ["1"]}), "metadata.tags./app"),
        (pubtools_item(tags={"app/": ["1"]}), "metadata.tags.app/"),
    ],
)
def test_a_fault_of_the_form_of_pubtools_quay_is_called_by_its_own_names(entry: Any, where: str) -> None:
    """Rules 1.2 and 1.4."""
    assert fields(pubtools(entry)) == [(0, where)]


def test_all_faults_are_found_at_once() -> None:
    """Rule 1.2: of the request, of the target, and of every item."""
    found = fields(
        {
            "colour": "red",
            "push_id": "",
            "target_settings": {"quay_host": "", "tag_images_tries": 0, "dest_quay_user": "x"},
            "items": [
                item(source="a", destinations={"x/y/z": [], "Y": ["-"]}),
                7,
                item(kind="x", single_arch="y", merge=0, platforms=["z"], size=1),
            ],
        }
    )
    assert found == [
        (None, "colour"),
        (None, "push_id"),
        (None, "target_settings.dest_quay_password"),
        (None, "target_settings.quay_host"),
        (None, "target_settings.quay_namespace"),
        (None, "target_settings.tag_images_tries"),
        (0, "source"),
        (0, "destinations.x/y/z"),
        (0, "destinations.Y"),
        (1, "item"),
        (2, "size"),
        (2, "kind"),
        (2, "single_arch"),
        (2, "merge"),
        (2, "platforms"),
    ]


def test_the_message_says_the_first_faults_and_how_many_more_there_are() -> None:
    """Rule 1.2."""
    with pytest.raises(RequestInvalid) as refusal:
        read({"items": [item(colour=1) | {"source": None} for _ in range(15)]})
    assert len(refusal.value.faults) >= 30
    assert str(refusal.value).startswith("The request has ")
    assert "item 0, colour: is not a known key" in str(refusal.value)
    assert str(refusal.value).endswith("Nothing was written.")
    with pytest.raises(RequestInvalid, match=r"^The request has 1 fault: push_id: must be"):
        read({"push_id": "", "items": [item()]})


@pytest.mark.parametrize(
    ("target", "first", "second"),
    [
        ("shop", "a/b", "a----b"),
        (None, "docker.io/app", "index.docker.io/library/app"),
        (None, "docker.io/app", "docker.io/library/app"),
    ],
)
def test_two_destinations_that_map_to_one_reference_are_a_fault(target: str | None, first: str, second: str) -> None:
    """Rule 1.2: within an item, and across items."""
    one = {"items": [item(destinations={first: ["1", "2"], second: ["2", "3"]})], "target": target}
    ((number, where, why),) = faults(one)
    assert (number, where) == (0, f"destinations.{second}")
    assert f"is also the destination {first!r} of item 0" in why
    two = {"items": [item(destinations={first: ["1"]}), item(destinations={second: ["1"]})], "target": target}
    assert fields(two) == [(1, f"destinations.{second}")]


@pytest.mark.parametrize(
    "overwriting", [{"merge": False}, {"kind": "source"}, {"kind": "image"}, {"single_arch": "copy"}], ids=str
)
def test_two_items_of_which_one_overwrites_the_other_are_a_fault(overwriting: dict[str, Any]) -> None:
    """Rule 1.5: which of the two would win is chance."""
    where = "destinations.b.example:5000/dst/app"
    for first, second in ({}, overwriting), (overwriting, {}), (overwriting, overwriting):
        items = [item(**first), item(source="a.example/src/arm:1", **second)]
        assert fields({"items": items}) == [(1, where)]
    items[1] |= {"destinations": {"b.example:5000/dst/app": ["2"]}}
    assert len(read({"items": items}).items) == 2


@pytest.mark.parametrize("atomic", ["item", "push"])
def test_a_digest_for_a_tag_is_a_fault_of_an_atomic_push(atomic: str) -> None:
    """Rule 1.4: nothing takes it back."""
    where = "destinations.b.example/app"
    assert fields({"items": [item(destinations={"b.example/app": ["1", DIGEST]})], "atomic": atomic}) == [(0, where)]


@pytest.mark.parametrize("repository", ["user:s3cret@b.example/app", f"b.example/app@{DIGEST}", "@", "s3cret@"])
@pytest.mark.parametrize("target", [None, "shop", "flat"])
def test_a_destination_with_an_at_sign_is_a_fault_that_shows_no_password(repository: str, target: str | None) -> None:
    """Rules 1.2 and 6.7."""
    ((number, where, why),) = faults({"items": [item(destinations={repository: ["1"]})], "target": target})
    assert (number, where) == (0, f"destinations.…@{repository.rpartition('@')[2]}")
    assert "s3cret" not in why


def test_a_source_with_a_password_is_a_fault_that_does_not_show_it() -> None:
    """Rules 1.2 and 6.7."""
    assert "s3cret" not in reason({"items": [item(source="user:s3cret@a.example/app:1")]})


def test_keys_that_no_json_has_are_faults_too() -> None:
    """Rule 1.2: a Python producer may pass them."""
    assert fields({"items": [item(destinations={5: ["1"]})]}) == [(0, "destinations.5")]
    assert fields({"items": [item() | {5: 1, "b": 1}], None: 1}) == [(None, "None"), (0, "5"), (0, "b")]


def test_an_unknown_target_is_answered_with_those_that_there_are() -> None:
    """Rule 1.2: and its items' destinations are not judged by a target that is none."""
    assert reason({"items": [item(destinations={"a": ["1"]})], "target": "x" * 500}) == (
        f"{'x' * 100!r} is not a configured target (configured: flat, shop)"
    )
