"""What a request may say, in either form (BEHAVIOUR section 1)."""

from typing import Any

import pytest

from tasks.oci.platform import Platform
from tasks.oci.reference import Reference
from tasks.transfer.request.target import ALL_REFERRERS, Target
from tasks.transfer.request.valid import ValidItem, ValidRequest
from tasks.transfer.request.validation import validate
from tests.unit.transfer.request.requests import DIGEST, SHOP, item, pubtools, pubtools_item, read, read_item, reason


def test_the_least_that_a_push_must_say_has_these_defaults() -> None:
    """Rules 1.1 and 2.2: a single-arch image is merged in the native form."""
    valid = read({"items": [item()]})
    assert valid == ValidRequest(
        (
            ValidItem(
                Reference("a.example:5000", "src/app", "1"),
                (Reference("b.example:5000", "dst/app", "1"),),
                kind="auto",
                single_arch="merge",
                platforms=(),
                merge=True,
                referrers=ALL_REFERRERS,
            ),
        ),
        Target(),
    )


def test_everything_that_a_push_may_say_is_read() -> None:
    """Rule 1.1."""
    valid = read(
        {
            "push_id": "release-1.2:3_4",
            "target": "shop",
            "atomic": "push",
            "items": [
                {
                    "source": f"docker://a.example/src/app:1@{DIGEST}",
                    "destinations": {"ns/app": ["1", "latest"], "other": ["2"]},
                    "kind": "auto",
                    "single_arch": "copy",
                    "platforms": ["linux/arm64", "windows/amd64:10.0.17763"],
                    "merge": False,
                },
                {"source": "busybox:1", "destinations": {"busybox": ["1"]}, "kind": "source"},
            ],
        }
    )
    assert (valid.push_id, valid.atomic, valid.target) == ("release-1.2:3_4", "push", SHOP)
    first, second = valid.items
    assert first.source == Reference("a.example", "src/app", "1", DIGEST)
    assert [str(each) for each in first.destinations] == [
        "quay.example:8443/shop/ns----app:1",
        "quay.example:8443/shop/ns----app:latest",
        "quay.example:8443/shop/other:2",
    ]
    assert (first.single_arch, first.merge) == ("copy", False)
    assert first.platforms == (Platform("linux", "arm64"), Platform("windows", "amd64", "", "10.0.17763"))
    assert (str(second.source), second.kind) == ("docker.io/library/busybox:1", "source")


def test_duplicate_tags_are_one_destination() -> None:
    """Rule 1.5."""
    destinations = read_item(destinations={"b.example/app": ["1", "2", "1", "1"]}).destinations
    assert [reference.tag for reference in destinations] == ["1", "2"]


def test_the_form_of_pubtools_quay_means_the_same() -> None:
    """Rules 1.1 and 2.2: but a single-arch image is refused, as the original documents."""
    valid = read(
        pubtools(
            pubtools_item(tags={"ns/app": ["1", "2"], "app": ["1"]}, v_r="1.0", pull_data={}), quay_host="q.example/"
        )
    )
    assert valid.items == (
        ValidItem(
            Reference("a.example", "src/app", "1"),
            (
                Reference("q.example", "shop/ns----app", "1"),
                Reference("q.example", "shop/ns----app", "2"),
                Reference("q.example", "shop/app", "1"),
            ),
            single_arch="refuse",
        ),
    )


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        (None, "auto"),
        ({}, "auto"),
        ({"extra": None}, "auto"),
        ({"extra": {}}, "auto"),
        ({"extra": {"image": None}}, "auto"),
        ({"extra": {"image": {}}}, "auto"),
        ({"extra": {"image": {"sources_for_nvr": None}}}, "auto"),
        ({"extra": {"image": {"sources_for_nvr": ""}}}, "auto"),
        ({"extra": {"image": {"sources_for_nvr": False}}}, "auto"),
        ({"extra": {"image": {"sources_for_nvr": []}}}, "auto"),
        ({"extra": {"image": {"sources_for_nvr": "app-1-1"}}}, "source"),
        ({"extra": {"image": {"sources_for_nvr": True}}}, "source"),
        ({"extra": {"image": {"sources_for_nvr": ["app-1-1"]}}}, "source"),
    ],
)
def test_a_truthy_mark_in_the_build_makes_a_source_image(build: Any, kind: str) -> None:
    """Rule 1.1: an empty string does not."""
    assert read(pubtools(pubtools_item(build=build))).items[0].kind == kind
    if build is None:
        unbuilt = pubtools_item()
        del unbuilt["metadata"]["build"]
        assert read(pubtools(unbuilt)).items[0].kind == "auto"


def test_a_named_target_says_where_and_how() -> None:
    """Rule 1.4: namespace and naming are the target's; a trailing slash on the host is dropped."""
    (valid_item,) = read({"items": [item(destinations={"a/b/c": ["1"]})], "target": "flat"}).items
    assert str(valid_item.destinations[0]) == "flat.example/a/b/c:1"
    assert reason({"items": [item(destinations={"a/b/c": ["1"]})], "target": "shop"}).startswith("'a/b/c' must be")


def test_warnings_say_what_has_no_meaning() -> None:
    """Rules 1.1 and 1.7: the keys of pubtools-quay are accepted, with one warning."""
    (warning,) = read(pubtools(pubtools_item(), skopeo_image="x", source_quay_host="q.example", colour="red")).warnings
    assert all(key in warning for key in ("skopeo_image", "source_quay_host", "colour"))


def test_a_push_of_no_items_is_one_that_does_nothing() -> None:
    """Rule 1.7."""
    assert read(pubtools()).items == ()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, ("refuse", True)), ({"allow_v1_containers": True}, ("copy", True)), ({"merge": False}, ("refuse", False))],
)
def test_target_settings_are_the_item_s(settings: dict[str, Any], expected: tuple[str, bool]) -> None:
    """Rules 2.2 and 3.2."""
    (only,) = read(pubtools(pubtools_item(), **settings)).items
    assert (only.single_arch, only.merge) == expected


def test_a_target_that_does_not_merge_wins_over_the_item() -> None:
    """Rule 3.2."""
    target = {"still": Target(host="b.example", merge=False)}
    (only,) = validate({"target": "still", "items": [item(destinations={"app": ["1"]}, merge=True)]}, target).items
    assert only.merge is False


def test_an_item_that_is_there_twice_counts_once() -> None:
    """Rule 1.5."""
    assert len(read({"items": [item(), item(), item(destinations={"b.example/other": ["1"]})]}).items) == 2
    assert len(read(pubtools(pubtools_item(), pubtools_item(name="app"))).items) == 1
    assert len(read({"items": [item(merge=False), item(merge=False)]}).items) == 1


def test_two_items_that_merge_may_go_to_one_tag() -> None:
    """Rule 1.5: in the order of the request."""
    first, second = read({"items": [item(), item(source="a.example/src/arm:1")]}).items
    assert first.destinations == second.destinations
    assert (first.source.repository, second.source.repository) == ("src/app", "src/arm")
    assert len(read(pubtools(pubtools_item(), pubtools_item(pull_url="a.example/src/arm:1"))).items) == 2


def test_one_image_of_an_index_is_copied_over_what_is_there() -> None:
    """Rule 2.2."""
    only = read_item(kind="image")
    assert (only.kind, only.single_arch, only.merge, only.platforms) == (
        "image",
        "copy",
        False,
        (Platform("linux", "amd64"),),
    )
    assert read_item(kind="image", platforms=["linux/arm64"]).platforms == (Platform("linux", "arm64"),)


def test_a_digest_may_stand_for_a_tag() -> None:
    """Rule 1.4: the manifest is stored without a tag."""
    (destination,) = read_item(destinations={"b.example/app": [DIGEST]}).destinations
    assert str(destination) == f"b.example/app@{DIGEST}"


def test_the_number_of_tries_is_the_request_s_before_it_is_the_target_s() -> None:
    """Rule 8.3."""
    assert read({"items": [item()], "tries": 1}).target.tries == 1
    assert read(pubtools(pubtools_item(), tag_images_tries="3") | {"tries": 2}).target.tries == 2
    assert read(pubtools(pubtools_item(), tag_images_tries="3")).target.tries == 3


def test_docker_may_stand_before_every_reference() -> None:
    """Rule 1.6."""
    named = read_item(source="docker://a.example/app:1", destinations={"docker://b.example/app": ["1"]})
    assert named == read_item(source="a.example/app:1", destinations={"b.example/app": ["1"]})
    target = {"target": "shop", "items": [item(destinations={"docker://ns/app": ["1"]})]}
    assert str(read(target).items[0].destinations[0]) == "quay.example:8443/shop/ns----app:1"
    (foreign,) = read(
        pubtools(pubtools_item(pull_url="docker://a.example/app:1", tags={"docker://ns/app": ["1"]}))
    ).items
    assert foreign.source.registry == "a.example"


def test_hosts_of_compose_files_and_clusters_are_hosts() -> None:
    """Rule 1.3."""
    named = read_item(source="qual_registry:5000/app:1", destinations={"registry.cluster.:5000/app": ["1"]})
    assert (named.source.registry, named.destinations[0].registry) == ("qual_registry:5000", "registry.cluster.:5000")
