"""What a request may say, in either form (BEHAVIOUR section 1)."""

from typing import Any

import pytest

from tasks.oci.platform import Platform
from tasks.oci.reference import Reference
from tasks.transfer.request.target import Target
from tasks.transfer.request.validation import Order, OrderItem
from tests.unit.transfer.request.orders import DIGEST, SHOP, item, read, read_item, reason, seed, seed_item


def test_the_least_that_a_push_must_say_has_these_defaults() -> None:
    """Rules 1.1 and 2.2: a single-arch image is merged in the native form."""
    order = read({"items": [item()]})
    assert order == Order(
        (
            OrderItem(
                Reference("a.example:5000", "src/app", "1"),
                (Reference("b.example:5000", "dst/app", "1"),),
                kind="auto",
                single_arch="merge",
                platforms=(),
                merge=True,
            ),
        ),
        Target(),
    )


def test_everything_that_a_push_may_say_is_read() -> None:
    """Rule 1.1."""
    order = read(
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
    assert (order.push_id, order.atomic, order.target) == ("release-1.2:3_4", "push", SHOP)
    first, second = order.items
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


def test_the_seed_s_form_means_the_same() -> None:
    """Rules 1.1 and 2.2: but a single-arch image is refused, as the original documents."""
    order = read(
        seed(seed_item(tags={"ns/app": ["1", "2"], "app": ["1"]}, v_r="1.0", pull_data={}), quay_host="q.example/")
    )
    assert order.items == (
        OrderItem(
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
    assert read(seed(seed_item(build=build))).items[0].kind == kind
    if build is None:
        unbuilt = seed_item()
        del unbuilt["metadata"]["build"]
        assert read(seed(unbuilt)).items[0].kind == "auto"


def test_a_named_target_says_where_and_how() -> None:
    """Rule 1.4: namespace and naming are the target's; a trailing slash on the host is dropped."""
    (ordered,) = read({"items": [item(destinations={"a/b/c": ["1"]})], "target": "flat"}).items
    assert str(ordered.destinations[0]) == "flat.example/a/b/c:1"
    assert reason({"items": [item(destinations={"a/b/c": ["1"]})], "target": "shop"}).startswith("'a/b/c' must be")


def test_warnings_say_what_has_no_meaning() -> None:
    """Rule 1.1: the seed's keys are accepted."""
    order = read(seed(seed_item(), skopeo_image="x", source_quay_host="q.example"))
    assert [warning.split()[0] for warning in order.warnings] == [
        "target_settings.skopeo_image",
        "target_settings.source_quay_host",
    ]


def test_docker_may_stand_before_every_reference() -> None:
    """Rule 1.6."""
    named = read_item(source="docker://a.example/app:1", destinations={"docker://b.example/app": ["1"]})
    assert named == read_item(source="a.example/app:1", destinations={"b.example/app": ["1"]})
    target = {"target": "shop", "items": [item(destinations={"docker://ns/app": ["1"]})]}
    assert str(read(target).items[0].destinations[0]) == "quay.example:8443/shop/ns----app:1"
    (foreign,) = read(seed(seed_item(pull_url="docker://a.example/app:1", tags={"docker://ns/app": ["1"]}))).items
    assert foreign.source.registry == "a.example"


def test_hosts_of_compose_files_and_clusters_are_hosts() -> None:
    """Rule 1.3."""
    named = read_item(source="qual_registry:5000/app:1", destinations={"registry.cluster.:5000/app": ["1"]})
    assert (named.source.registry, named.destinations[0].registry) == ("qual_registry:5000", "registry.cluster.:5000")
