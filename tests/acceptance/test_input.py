"""BEHAVIOUR section 1 on two real registries: what a request may say, and what is refused before any write."""

import uuid
from typing import Any

import pytest

from tasks.contract import PushReport
from tasks.oci.digest import digest_of
from tasks.transfer.request.target import Target
from tests.acceptance.conftest import World, actions
from tests.support import images
from tests.support.images import image, index, layer
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload


class RegistryOnIPv6(DistributionRegistry):
    address = "[::1]"


def multi_arch(seed: str = "") -> images.Index:
    return index([image(each, [layer(f"input {seed} {each}", 400)]) for each in ("linux/amd64", "linux/arm64")])


def send(world: World, request: dict[str, Any]) -> PushReport:
    push_id = str(uuid.uuid4())
    world.client.send(request, push_id)
    return world.client.wait(push_id)


def seed_item(source: str, tags: Any, build: Any = None) -> dict[str, Any]:
    return {"metadata": {"pull_url": source, "tags": tags, "build": build or {}}}


@pytest.mark.parametrize("form", ["tag", "digest", "tag and digest", "docker://"])
def test_a_source_is_named_by_tag_digest_or_both(world: World, form: str) -> None:
    """Rule 1.3: with both the digest counts."""
    wanted, other = multi_arch("wanted"), multi_arch("other")
    reference = world.put_a(wanted)
    if form in {"digest", "tag and digest"}:
        world.put_a(other)
    name, _, _ = reference.rpartition(":")
    source = {
        "tag": reference,
        "digest": f"{name}@{wanted.digest}",
        "tag and digest": f"{reference}@{wanted.digest}",
        "docker://": f"docker://{reference}",
    }[form]
    assert world.push_one(source).new_digest == wanted.digest
    assert world.stored.manifest(world.destination, "1") == (200, wanted.media_type, wanted.manifest)


def test_localhost_is_a_host(world: World) -> None:
    """Rule 1.3: in the source and in the destination, with a port."""
    node = multi_arch()
    world.put_a(node)
    port_a, port_b = world.a.host.rpartition(":")[2], world.b.host.rpartition(":")[2]
    report = world.push(
        {
            "source": f"localhost:{port_a}/{world.source}:1",
            "destinations": {f"localhost:{port_b}/{world.destination}": ["1"]},
        }
    )
    assert [tag.reference for tag in report.items[0].tags] == [f"localhost:{port_b}/{world.destination}:1"]
    assert actions(report) == ["copied"]
    assert world.stored.digest(world.destination, "1") == node.digest


def test_an_ipv6_address_is_a_host(world: World) -> None:
    """Rule 1.3: a real registry on [::1], as the source and as the destination."""
    node = multi_arch("ipv6")
    with RegistryOnIPv6() as registry:
        there = f"{registry.host}/{world.name}/app"
        out = world.push({"source": world.put_a(node), "destinations": {there: ["1"]}})
        back = world.push(world.item(f"{there}:1"))
        mounted = world.push({"source": f"{there}:1", "destinations": {f"{there}/again": ["1"]}})
        assert [actions(report) for report in (out, back, mounted)] == [["copied"]] * 3
        assert out.items[0].tags[0].reference == f"{there}:1"
        Stored(registry.host).holds(f"{world.name}/app", "1")
        assert (mounted.totals.blobs_copied, mounted.totals.blobs_mounted) == (0, 4)
    assert world.stored.digest(world.destination, "1") == node.digest


def test_the_host_in_the_source_reference_is_the_one_that_is_read(world: World) -> None:
    """Rule 1.3: whatever the seed's `source_quay_host` says."""
    source = multi_arch("host")
    report = send(
        world,
        {
            "push_items": [seed_item(world.put_a(source), {world.name: ["1"]})],
            "target_settings": {
                "quay_host": world.b.host,
                "quay_namespace": "shop",
                "source_quay_host": "registry.invalid",
            },
        },
    )
    assert actions(report) == ["copied"]
    assert world.stored.digest(f"shop/{world.name}", "1") == source.digest


@pytest.mark.parametrize(
    ("naming", "repository", "stored"),
    [
        ("quay", "{}-ns/app", "shop/{}-ns----app"),
        ("quay", "{}-app", "shop/{}-app"),
        ("verbatim", "{}/a/app", "shop/{}/a/app"),
    ],
)
def test_the_target_says_host_namespace_and_naming(world: World, naming: Any, repository: str, stored: str) -> None:
    """Rule 1.4: a trailing slash on the host is dropped."""
    world.targets[world.name] = Target(host=f"{world.b.host}/", namespace="shop", naming=naming)
    item = {"source": world.put_a(multi_arch()), "destinations": {repository.format(world.name): ["1"]}}
    report = world.push(item, target=world.name)
    assert report.items[0].tags[0].reference == f"{world.b.host}/{stored.format(world.name)}:1"
    assert world.stored.tags(stored.format(world.name)) == ["1"]


def test_duplicate_tags_are_written_once(world: World) -> None:
    """Rule 1.5: one line in the report, one write."""
    report = world.push(world.item(world.put_a(multi_arch()), "1", "2", "1", "1"))
    assert [tag.reference.rpartition(":")[2] for tag in report.items[0].tags] == ["1", "2"]
    puts = [
        request.path
        for request in world.b.requests()
        if request.method == "PUT" and request.path.startswith(f"/v2/{world.destination}/manifests/")
    ]
    assert sorted(path.rpartition("/")[2] for path in puts if "sha256:" not in path) == ["1", "2"]


@pytest.mark.parametrize(("mark", "kind"), [("", "single-arch"), (None, "single-arch"), ("app-1-1", "source")])
def test_only_a_truthy_mark_makes_a_source_image(world: World, mark: Any, kind: str) -> None:
    """Rules 1.1 and 2.2: in the seed's form a single-arch image without the mark is refused."""
    build = {"extra": {"image": {"sources_for_nvr": mark}}}
    report = send(
        world,
        {
            "push_items": [seed_item(world.put_a(images.source_image()), {world.name: ["1"]}, build)],
            "target_settings": {"quay_host": world.b.host, "quay_namespace": "shop"},
        },
    )
    if kind == "source":
        assert (report.items[0].kind, actions(report)) == ("source", ["copied"])
        return
    assert report.items[0].error is not None
    assert report.items[0].error.code == "single_arch_refused"
    assert world.stored.tags(f"shop/{world.name}") == []


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "missing source": ({"source": None}, "source", "is missing"),
    "source without tag or digest": ({"source": "{a}/x"}, "source", "neither a tag nor a digest"),
    "tags as a string": (
        {"destinations": {"{b}/x": "1"}},
        "destinations.{b}/x",
        "must be a list of tags, not a string",
    ),
    "no tags": ({"destinations": {"{b}/x": []}}, "destinations.{b}/x", "has no tags"),
    "no destinations": ({"destinations": {}}, "destinations", "is empty"),
    "empty repository": ({"destinations": {"{b}/": ["1"]}}, "destinations.{b}/", "is empty"),
    "upper-case repository": ({"destinations": {"{b}/X": ["1"]}}, "destinations.{b}/X", "lower-case"),
    "over-long repository": (
        {"destinations": {"{b}/" + "x" * 256: ["1"]}},
        "destinations.{b}/" + "x" * 256,
        "more than 255 characters",
    ),
    "empty tag": ({"destinations": {"{b}/x": [""]}}, "destinations.{b}/x", "is not a tag"),
    "over-long tag": ({"destinations": {"{b}/x": ["x" * 129]}}, "destinations.{b}/x", "at most 128"),
    "malformed tag": ({"destinations": {"{b}/x": ["-x"]}}, "destinations.{b}/x", "is not a tag"),
    "malformed digest": ({"source": "{a}/x@sha256:123"}, "source", "hexadecimal"),
    "unknown kind": ({"kind": "iso"}, "kind", "must be one of"),
    "unknown field": ({"tag": "1"}, "tag", "is not a known key"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_input_is_refused_before_anything_is_written(world: World, case: str) -> None:
    """Rule 1.2: with item, field and reason; the good item beside it is not pushed either."""
    changes, where, why = BAD[case]

    def told(value: Any) -> Any:
        if isinstance(value, dict):
            return {told(key): told(inner) for key, inner in value.items()}
        return value.format(a=world.a.host, b=world.b.host) if isinstance(value, str) else value

    good = world.item(world.put_a(multi_arch()))
    before = len(world.b.requests())
    ((fault),) = world.refused({"items": [good, world.item(good["source"], "2") | told(changes)]})
    assert (fault["item"], fault["field"]) == (1, told(where))
    assert why in fault["reason"]
    assert len(world.b.requests()) == before


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"dest_quay_user": "x"}, "target_settings.dest_quay_password"),
        ({"tag_images_tries": 0}, "target_settings.tag_images_tries"),
    ],
)
def test_half_a_pair_and_a_retry_count_below_1_are_refused(world: World, settings: dict[str, Any], field: str) -> None:
    """Rule 1.2."""
    (fault,) = world.refused(
        {
            "push_items": [seed_item("a.example/app:1", {"app": ["1"]})],
            "target_settings": {"quay_host": world.b.host, "quay_namespace": "shop"} | settings,
        }
    )
    assert (fault["item"], fault["field"]) == (None, field)


def test_two_destinations_that_map_to_one_reference_are_refused(world: World) -> None:
    """Rule 1.2: `a/b` and `a----b`."""
    source = world.put_a(multi_arch())
    (fault,) = world.refused(
        {
            "push_items": [seed_item(source, {f"{world.name}/b": ["1"], f"{world.name}----b": ["1"]})],
            "target_settings": {"quay_host": world.b.host, "quay_namespace": "shop"},
        }
    )
    assert fault["field"] == f"metadata.tags.{world.name}----b"
    assert world.stored.tags(f"shop/{world.name}----b") == []


def test_a_digest_that_nobody_has_is_a_missing_source(world: World) -> None:
    """Rules 1.3 and 2.3."""
    upload(world.a.host, world.source, multi_arch(), "1")
    tag = world.push_one(f"{world.a.host}/{world.source}:1@{digest_of(b'nobody')}")
    assert (tag.action, tag.error and tag.error.code) == ("failed", "source_missing")
