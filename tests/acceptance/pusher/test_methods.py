"""Each method of the class of pubtools-quay does what it did there."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from tasks.pusher import ContainerImagePusher
from tasks.registry.settings import HttpLimits
from tests.acceptance.pusher.program import PASSWORD, Program, actions
from tests.support.faults import Chosen, Fault, Kind
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import Index, Node, image, index, layer, source_image
from tests.support.stored import upload


def test_names_and_arguments_are_those_of_pubtools_quay() -> None:
    """pubtools-quay's class, as its callers use it."""
    signatures = {
        name: list(inspect.signature(getattr(ContainerImagePusher, name)).parameters)
        for name in (
            "__init__",
            "push_container_images",
            "run_tag_images",
            "copy_source_push_item",
            "copy_v1_push_item",
            "run_merge_workflow",
            "copy_multiarch_push_item",
        )
    }
    assert signatures == {
        "__init__": ["self", "push_items", "target_settings"],
        "push_container_images": ["self"],
        "run_tag_images": ["source_ref", "dest_refs", "all_arch", "target_settings"],
        "copy_source_push_item": ["self", "push_item"],
        "copy_v1_push_item": ["self", "push_item"],
        "run_merge_workflow": ["self", "source_ref", "dest_refs"],
        "copy_multiarch_push_item": ["self", "push_item", "source_ml"],
    }


@pytest.mark.parametrize("as_objects", [True, False], ids=["objects", "dicts"])
def test_push_items_are_copied_merged_or_copied_as_sources(
    program: Program, multi_arch: Index, other: Index, as_objects: bool
) -> None:
    """Rules 1.1, 1.4, 2.2, 3.2."""
    sources = source_image(f"{program.name}sources")
    upload(program.b.host, f"{program.name}/ns----merged", other, "latest")
    upload(program.b.host, f"{program.name}/plain", other, "1")
    items = [
        program.item(program.put_a(multi_arch), {"ns/app": ["1", "2"], "ns/merged": ["latest"]}),
        program.item(program.put_a(sources, "2"), {"plain": ["1"]}, mark="app-1-1"),
    ]
    called = program(
        "push_container_images", items=items, target_settings=program.target_settings, as_objects=as_objects
    )
    assert actions(called) == ["copied", "copied", "merged", "copied"]
    assert called.report is not None
    assert [item["kind"] for item in called.report["items"]] == ["multi-arch", "source"]
    stored = program.stored
    assert stored.digest(f"{program.name}/ns----app", "2") == multi_arch.digest
    merged = json.loads(stored.manifest(f"{program.name}/ns----merged", "latest")[2])
    assert [entry["platform"]["architecture"] for entry in merged["manifests"]] == ["amd64", "arm64", "s390x"]
    assert stored.digest(f"{program.name}/plain", "1") == sources.digest


@pytest.mark.parametrize("mark", ["", None, 0, []])
def test_a_build_that_does_not_mark_a_source_image_does_not_make_one(program: Program, mark: Any) -> None:
    """Rules 1.1, 2.2: then a single-arch image is refused, as the original documents."""
    items = [program.item(program.put_a(image("linux/amd64")), mark=mark)]
    called = program("push_container_images", items=items, target_settings=program.target_settings)
    assert called.error == "PushFailed"
    (report,) = called.details
    assert report["items"][0]["error"]["code"] == "single_arch_refused"
    assert "allow_v1_containers" in report["items"][0]["error"]["message"]


def test_one_item_is_pushed_as_a_source_image_whatever_it_is(program: Program, multi_arch: Index, other: Index) -> None:
    """Rule 2.2."""
    upload(program.b.host, f"{program.name}/ns----app", other, "1")
    item = program.item(program.put_a(multi_arch))
    called = program("copy_source_push_item", item, target_settings=program.target_settings, as_objects=True)
    assert actions(called) == ["copied"]
    assert program.stored.digest(f"{program.name}/ns----app", "1") == multi_arch.digest


def test_one_item_is_merged_whatever_its_build_says(program: Program, multi_arch: Index, other: Index) -> None:
    """Rule 3.2."""
    upload(program.b.host, f"{program.name}/ns----app", other, "1")
    item = program.item(program.put_a(multi_arch), mark="app-1-1")
    called = program("copy_multiarch_push_item", item, {"any": "list"}, target_settings=program.target_settings)
    assert actions(called) == ["merged"]


def test_full_references_are_merged(program: Program, multi_arch: Index, other: Index) -> None:
    """Rule 3.2."""
    upload(program.b.host, f"{program.name}/one", other, "1")
    references = [f"{program.b.host}/{program.name}/one:1", f"{program.b.host}/{program.name}/two:1"]
    called = program("run_merge_workflow", program.put_a(multi_arch), references)
    assert actions(called) == ["merged", "copied"]
    single = program("run_merge_workflow", program.put_a(image("linux/amd64"), "2"), references)
    assert single.details[0]["items"][0]["error"]["code"] == "single_arch_refused"


def test_full_references_are_tagged_with_all_platforms_or_one(
    program: Program, multi_arch: Index, other: Index
) -> None:
    upload(program.b.host, f"{program.name}/one", other, "1")
    source, reference = program.put_a(multi_arch), f"{program.b.host}/{program.name}/one:1"
    called = program("run_tag_images", source, [reference], True, {})
    assert actions(called) == ["copied"]
    assert program.stored.digest(f"{program.name}/one", "1") == multi_arch.digest
    assert actions(program("run_tag_images", source, [reference], False, {})) == ["copied"]
    assert program.stored.digest(f"{program.name}/one", "1") == multi_arch.members[0].digest
    arm64 = image("linux/arm64", [layer(program.name, 300)])
    assert actions(program("run_tag_images", program.put_a(arm64, "arm64"), [reference], False, {})) == ["copied"]
    assert program.stored.digest(f"{program.name}/one", "1") == arm64.digest
    foreign = index([image(each, [layer(program.name, 300)]) for each in ("linux/s390x", "linux/ppc64le")])
    refused = program("run_tag_images", program.put_a(foreign, "foreign"), [reference], False, {})
    assert refused.details[0]["items"][0]["error"]["code"] == "platform_missing"


def test_a_digest_may_be_the_destination_of_that_very_image(program: Program, multi_arch: Index) -> None:
    """Rule 1.4: the image is stored without a tag."""
    repository, digest = f"{program.b.host}/{program.name}/untagged", multi_arch.members[1].digest
    source = f"{program.put_a(multi_arch).rpartition(':')[0]}@{digest}"
    called = program("run_tag_images", source, [f"{repository}@{digest}"], False, {})
    assert actions(called) == ["copied"]
    program.stored.holds(f"{program.name}/untagged", digest)
    assert program.stored.tags(f"{program.name}/untagged") == []
    assert actions(program("run_tag_images", source, [f"{repository}@{digest}"], True, {})) == ["unchanged"]
    other = program("run_tag_images", source, [f"{repository}@{multi_arch.digest}"], False, {})
    assert other.details[0]["items"][0]["tags"][0]["error"]["code"] == "content_mismatch"


@pytest.mark.parametrize("tries", [1, "3"])
def test_the_number_of_tries_counts_for_references_too(program: Program, tries: Any) -> None:
    """Rule 8.3: each try of a copy of one layer and a configuration asks five times for each."""
    source = program.put_a(image("linux/amd64", [layer(program.name, 300)]))
    with FaultyProxy(program.b.host, Chosen(Fault(Kind.REFUSED, "POST", "/blobs/uploads/", times=1000))) as proxy:
        called = program(
            "run_tag_images", source, [f"{proxy.host}/{program.name}/app:1"], True, {"tag_images_tries": tries}
        )
        posts = len(proxy.injected)
    assert {"PushFailed", "HTTPError"} <= set(called.caught)
    assert posts == int(tries) * 2 * HttpLimits().tries


@pytest.mark.parametrize(
    ("tries", "method", "as_items"),
    [(1, "GET", True), (2, "GET", False), (1, "PUT", False), (2, "PUT", True)],
    ids=["read", "read again", "tag", "tag again"],
)
def test_the_number_of_tries_counts_for_the_whole_step(
    program: Program, tmp_path: Path, tries: int, method: str, as_items: bool
) -> None:
    """As in the original, which reads, copies and tags again; S6."""
    (tmp_path / "quick.toml").write_text("[http]\ntries = 2\nlongest_wait = 0.05\n")
    quick = {"IMAGEPUSHER_CONFIG": str(tmp_path / "quick.toml")}
    source = program.put_a(index([image("linux/amd64", [layer(program.name, 300)])]))
    reads = method == "GET"
    refused = Chosen(Fault(Kind.REFUSED, method, "/manifests/1", times=1000))
    with FaultyProxy(program.a.host if reads else program.b.host, refused) as proxy:
        host = program.b.host if reads else proxy.host
        if reads:
            source = source.replace(program.a.host, proxy.host)
        target = {"tag_images_tries": tries, "quay_host": host, "quay_namespace": program.name}
        if as_items:
            items = [program.item(source, {"ns/app": ["1"]})]
            called = program("push_container_images", items=items, target_settings=target, settings=quick)
        else:
            reference = f"{host}/{program.name}/app:1"
            called = program("run_tag_images", source, [reference], True, target, settings=quick)
        asked = len(proxy.injected)
    assert {"PushFailed", "HTTPError"} <= set(called.caught)
    assert asked == tries * 2


def test_a_single_image_is_copied_where_the_settings_allow_it(program: Program, multi_arch: Index) -> None:
    """Rule 2.2: refused, it fails its own item alone."""
    single = image("linux/arm64", [layer(program.name, 300)])
    items = [
        program.item(program.put_a(single), {"ns/single": ["1"]}),
        program.item(program.put_a(multi_arch, "2"), {"ns/app": ["1"]}),
    ]
    called = program("push_container_images", items=items, target_settings=program.target_settings)
    (report,) = called.details
    assert [tag["action"] for item in report["items"] for tag in item["tags"]] == ["failed", "copied"]
    allowed = program.target_settings | {"allow_v1_containers": True}
    assert actions(program("push_container_images", items=items, target_settings=allowed)) == ["copied", "unchanged"]
    assert program.stored.digest(f"{program.name}/ns----single", "1") == single.digest


def test_one_item_is_copied_as_it_is_with_the_method_for_single_images(
    program: Program, multi_arch: Index, other: Index
) -> None:
    """Rule 2.2."""
    sources: tuple[Node, ...] = (image("linux/arm64", [layer(program.name, 300)]), multi_arch)
    for number, source in enumerate(sources):
        upload(program.b.host, f"{program.name}/ns----app", other, str(number))
        item = program.item(program.put_a(source, f"source-{number}"), {"ns/app": [str(number)]})
        assert actions(program("copy_v1_push_item", item, target_settings=program.target_settings)) == ["copied"]
        assert program.stored.digest(f"{program.name}/ns----app", str(number)) == source.digest


def test_merging_can_be_switched_off(program: Program, multi_arch: Index, other: Index) -> None:
    """Rule 3.2: as pubtools-quay does it by now."""
    upload(program.b.host, f"{program.name}/ns----app", other, "1")
    settings = program.target_settings | {"merge": False}
    items = [program.item(program.put_a(multi_arch))]
    assert actions(program("push_container_images", items=items, target_settings=settings)) == ["copied"]
    assert program.stored.digest(f"{program.name}/ns----app", "1") == multi_arch.digest


def test_no_items_are_a_push_that_does_nothing(program: Program) -> None:
    """Rule 1.7."""
    called = program("push_container_images", items=[], target_settings=program.target_settings)
    assert called.report is not None
    assert (called.report["state"], called.report["items"]) == ("succeeded", [])


def test_two_items_for_one_tag_are_merged(program: Program) -> None:
    """Rule 1.5."""
    builds = [index([image(each, [layer(program.name + each, 300)])]) for each in ("linux/amd64", "linux/arm64")]
    items = [program.item(program.put_a(build, str(number))) for number, build in enumerate(builds)]
    called = program("push_container_images", items=[*items, items[0]], target_settings=program.target_settings)
    assert called.report is not None, called.message
    assert len(called.report["items"]) == 2
    held = json.loads(program.stored.manifest(f"{program.name}/ns----app", "1")[2])["manifests"]
    assert {entry["platform"]["architecture"] for entry in held} == {"amd64", "arm64"}


def test_settings_without_an_effect_are_one_line(program: Program, multi_arch: Index) -> None:
    """Rule 1.7: those of the whole of pubtools-quay, secrets among them, and one that nobody knows."""
    settings = {
        "skopeo_image": "x",
        "docker_settings": {"docker_reference_registry": ["q.example"]},
        "source_quay_host": "q.example",
        "dest_quay_api_token": PASSWORD,
        "ssh_password": PASSWORD,
        "pyxis_server": "https://pyxis.example",
        "colour": "red",
        "tag_images_tries": "4",
    }
    items = [program.item(program.put_a(multi_arch))]
    called = program("push_container_images", items=items, target_settings=program.target_settings | settings)
    assert actions(called) == ["copied"]
    (line,) = [line for line in called.log.splitlines() if "target_settings" in line]
    assert all(key in line for key in settings.keys() - {"tag_images_tries"})
    assert PASSWORD not in called.log
