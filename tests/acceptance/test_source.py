"""BEHAVIOUR section 2 on two real registries: how the source is read."""

import json

import pytest
import requests

from tests.acceptance.conftest import World, actions
from tests.support import fixtures, images
from tests.support.images import Image, Node, artifact, image, index, layer
from tests.support.scripted import Answer, Exchange, ScriptedRegistry

DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"


def multi_arch(seed: str, *, docker: bool = False) -> images.Index:
    return index(
        [image(each, [layer(f"source {seed} {each}", 400)], docker=docker) for each in ("linux/amd64", "linux/arm64")],
        docker=docker,
    )


def asked_of_a(world: World) -> list[tuple[str, str]]:
    """Return method and reference of every request for a manifest of this test's source."""
    prefix = f"/v2/{world.source}/manifests/"
    return [
        (request.method, request.path.removeprefix(prefix))
        for request in world.a.requests()
        if request.path.startswith(prefix)
    ]


def test_a_tag_is_resolved_once_and_everything_after_works_on_the_digest(world: World) -> None:
    """Rule 2.1: whatever becomes of the tag meanwhile."""
    source = multi_arch(world.name)
    reference = world.put_a(source)
    before = len(asked_of_a(world))
    report = world.push(world.item(reference, "1", "2"), world.item(reference, "3"))
    assert actions(report) == ["copied"] * 3
    asked = asked_of_a(world)[before:]
    assert [each for each in asked if not each[1].startswith("sha256:")] == [("GET", "1")] * 2
    assert report.items[0].digest == source.digest


def test_a_tag_that_moves_right_after_its_only_look_up_changes_nothing(world: World) -> None:
    """Rule 2.1: what was first resolved is pushed; asked again, this registry would fail the test."""
    source = multi_arch(f"{world.name} first")
    children = [child for child in source.members if isinstance(child, Image)]
    with ScriptedRegistry(
        Exchange("GET", "/v2/"),
        served("app", "1", source),
        *(served("app", child.digest, child) for child in children),
        *(
            Exchange("GET", f"/v2/app/blobs/{digest}", Answer(body=content))
            for child in children
            for digest, content in child.blobs.items()
        ),
        Exchange("GET", "/v2/app/tags/list?n=1000", Answer(body=b'{"name": "app", "tags": ["1"]}')),
        Exchange("GET", f"/v2/app/referrers/{source.digest}", Answer(404)),
    ) as registry:
        tag = world.push_one(f"{registry.host}/app:1")
    assert (tag.action, tag.new_digest) == ("copied", source.digest)
    world.stored.holds(world.destination, "1")


def served(repository: str, reference: str, node: Node) -> Exchange:
    answer = Answer(headers={"Content-Type": node.media_type}, body=node.manifest)
    return Exchange("GET", f"/v2/{repository}/manifests/{reference}", answer)


@pytest.mark.parametrize("docker", [True, False])
def test_what_is_only_copied_is_never_written_anew(world: World, docker: bool) -> None:
    """Rule 2.4: odd white space, odd members and odd numbers, in index, manifest and configuration."""
    odd = {"x-odd": [1.10, 12345678901234567890, "é\u2028"]}
    child = image("linux/amd64", [layer(f"odd {world.name}", 100)], docker=docker, config=odd, fields=odd)
    source = index([images.entry(child, **odd)], docker=docker, fields=odd)
    assert world.push_one(world.put_a(source)).new_digest == source.digest
    assert world.stored.manifest(world.destination, "1") == (200, source.media_type, source.manifest)
    assert world.stored.manifest(world.destination, child.digest) == (200, child.media_type, child.manifest)
    for digest, content in child.blobs.items():
        assert world.stored.blob(world.destination, digest) == (200, content)


def test_a_blob_that_the_source_has_corrupted_is_never_committed(world: World) -> None:
    """Rules 2.4 and 5.3: every byte is verified on the way."""
    rotten = layer(f"rotten {world.name}", 3000)
    source = index([image("linux/amd64", [rotten])])
    reference = world.put_a(source)
    stored = world.a.storage / f"docker/registry/v2/blobs/sha256/{rotten.digest[7:9]}/{rotten.digest[7:]}/data"
    content = bytearray(stored.read_bytes())
    content[2000] ^= 1
    stored.write_bytes(content)
    tag = world.push_one(reference)
    assert (tag.action, tag.error and tag.error.code) == ("failed", "content_mismatch")
    assert world.stored.blob(world.destination, rotten.digest)[0] == 404
    assert world.stored.tags(world.destination) == []


@pytest.mark.parametrize("there", [False, True], ids=["absent", "at B already"])
@pytest.mark.parametrize("more", [-1, 1])
def test_an_entry_that_declares_a_wrong_size_is_not_copied(world: World, more: int, there: bool) -> None:
    """Rule 2.4: wherever the manifest itself comes from."""
    child, other = image("linux/amd64", [layer(f"{world.name} one", 100)]), image("linux/arm64")
    if there:
        world.put_b(child, "child")
    source = index([images.entry(child, size=len(child.manifest) + more), other])
    tag = world.push_one(world.put_a(source))
    assert (tag.action, tag.error and tag.error.code) == ("failed", "content_mismatch")
    assert tag.error is not None
    assert f"{child.digest} has {len(child.manifest)} bytes instead of the {len(child.manifest) + more}" in str(
        tag.error.message
    )
    assert world.stored.tags(world.destination) == (["child"] if there else [])


def test_a_nested_entry_that_declares_a_wrong_size_is_not_copied(world: World) -> None:
    """Rule 2.4."""
    child = image("linux/amd64", [layer(f"{world.name} one", 100)])
    tag = world.push_one(world.put_a(index([index([images.entry(child, size=5)])])))
    assert (tag.action, tag.error and tag.error.code) == ("failed", "content_mismatch")
    assert world.stored.tags(world.destination) == []


@pytest.mark.parametrize("wrong_first", [True, False])
@pytest.mark.parametrize("right", ["declared", "unknown", "single"])
def test_an_index_that_declares_a_wrong_size_does_not_fail_others_of_the_push(
    world: World, wrong_first: bool, right: str
) -> None:
    """Rules 2.4 and 6.2: they share a manifest, which is copied once."""
    child = image("linux/amd64", [layer(f"{world.name} one", 100)])
    wrong = index([images.entry(child, size=len(child.manifest) + 1)])
    good: Node = (
        child if right == "single" else index([images.entry(child, size=None) if right == "unknown" else child])
    )
    pair = [("wrong", wrong), ("good", good)] if wrong_first else [("good", good), ("wrong", wrong)]
    report = world.push(*(world.item(world.put_a(node, tag), tag) for tag, node in pair))
    by_tag = {tag.reference.rpartition(":")[2]: tag for item in report.items for tag in item.tags}
    assert (by_tag["good"].action, by_tag["good"].new_digest) == ("copied", good.digest)
    error = by_tag["wrong"].error
    assert (by_tag["wrong"].action, error and error.code, error and error.side) == (
        "failed",
        "content_mismatch",
        "source",
    )
    assert world.stored.tags(world.destination) == ["good"]
    world.stored.holds(world.destination, "good")


@pytest.mark.parametrize("wrong_first", [True, False])
def test_an_image_that_declares_a_wrong_size_of_a_layer_does_not_fail_others_of_the_push(
    world: World, wrong_first: bool
) -> None:
    """Rules 2.4 and 6.2: they share the layer."""
    shared = layer(f"{world.name} shared", 100)
    good = image("linux/amd64", [shared])
    declared = [shared.descriptor(docker=False) | {"size": len(shared.content) + 1}]
    wrong = image("linux/arm64", [shared], fields={"layers": declared})
    alone = world.push(world.item(world.put_a(wrong, "wrong"), "alone"))
    assert (actions(alone), alone.items[0].error and alone.items[0].error.code) == (["failed"], "content_mismatch")
    places = {tag: world.item(world.put_a(node, tag), tag) for tag, node in (("wrong", wrong), ("good", good))}
    order = ("wrong", "good") if wrong_first else ("good", "wrong")
    report = world.push(*(places[tag] for tag in order))
    by_tag = {tag.reference.rpartition(":")[2]: tag for item in report.items for tag in item.tags}
    assert (by_tag["good"].action, by_tag["good"].new_digest) == ("copied", good.digest)
    world.stored.holds(world.destination, "good")


def test_an_unchanged_tag_of_an_index_with_a_wrong_size_stays_unchanged_beside_others(world: World) -> None:
    """Rules 2.4 and 6.2: nothing is copied for it, and its size does not count for the others."""
    child = image("linux/amd64", [layer(f"{world.name} one", 100)])
    wrong, good = index([images.entry(child, size=7)]), index([child])
    world.put_b(wrong, "wrong")
    items = [world.item(world.put_a(wrong, "wrong"), "wrong"), world.item(world.put_a(good, "good"), "good")]
    other = f"{world.b.host}/{world.name}/other"
    items[1]["destinations"] = {other: ["good"]}
    assert actions(world.push(*items)) == ["unchanged", "copied"]
    world.stored.holds(f"{world.name}/other", "good")


def test_a_missing_source_is_asked_for_once(world: World) -> None:
    """Rule 2.3: a named error at once, no retries."""
    report = world.push(world.item(f"{world.a.host}/{world.source}:gone", "1", "2"))
    assert report.items[0].error is not None
    assert report.items[0].error.code == "source_missing"
    assert asked_of_a(world) == [("GET", "gone")]


def test_a_blob_that_the_source_lost_fails_the_item_by_name(world: World) -> None:
    """Rule 2.3: no tag of the item moves."""
    lost = layer(f"lost {world.name}", 300)
    reference = world.put_a(index([image("linux/amd64", [lost]), image("linux/arm64")]))
    requests.delete(f"{world.a.url}/v2/{world.source}/blobs/{lost.digest}", timeout=10).raise_for_status()
    report = world.push(world.item(reference, "1", "2"))
    assert actions(report) == ["failed"] * 2
    assert report.items[0].error is not None
    assert report.items[0].error.code == "source_child_missing"
    assert world.stored.tags(world.destination) == []


@pytest.mark.parametrize("content_type", [DOCKER_SCHEMA1_SIGNED, "application/json"])
def test_a_schema_1_image_is_a_named_error(world: World, content_type: str) -> None:
    """Rule 2.3: a real signed one."""
    answer = Answer(headers={"Content-Type": content_type}, body=fixtures.load("28-"))
    with ScriptedRegistry(Exchange("GET", "/v2/"), Exchange("GET", "/v2/old/app/manifests/1", answer)) as registry:
        tag = world.push_one(f"{registry.host}/old/app:1")
    assert (tag.action, tag.error and tag.error.code) == ("failed", "schema_unsupported")


@pytest.mark.parametrize("docker", [True, False])
def test_an_empty_list_is_a_named_error(world: World, docker: bool) -> None:
    """Rule 2.3."""
    tag = world.push_one(world.put_a(index([], docker=docker)))
    assert (tag.action, tag.error and tag.error.code) == ("failed", "index_empty")


def test_a_manifest_that_is_both_an_index_and_an_image_is_a_named_error(world: World) -> None:
    """Rule 2.3."""
    child = image("linux/amd64")
    both = json.dumps(child.document | {"manifests": [child.descriptor()]}).encode()
    answer = Answer(headers={"Content-Type": images.OCI_MANIFEST}, body=both)
    with ScriptedRegistry(Exchange("GET", "/v2/"), Exchange("GET", "/v2/odd/app/manifests/1", answer)) as registry:
        tag = world.push_one(f"{registry.host}/odd/app:1")
    assert tag.error is not None
    assert tag.error.code == "manifest_invalid"


@pytest.mark.parametrize("docker", [True, False], ids=["docker", "OCI"])
@pytest.mark.parametrize("listed", [True, False], ids=["list", "image"])
def test_a_source_image_is_copied_as_it_is_over_whatever_is_there(world: World, docker: bool, listed: bool) -> None:
    """Rule 2.2: a list too is not merged."""
    source = multi_arch("sources", docker=docker) if listed else images.source_image(docker=docker)
    old = index([image("linux/s390x")])
    world.put_b(old)
    report = world.push(world.item(world.put_a(source), kind="source", single_arch="refuse"))
    (tag,) = report.items[0].tags
    assert report.items[0].kind == "source"
    assert (tag.action, tag.old_digest, tag.new_digest, tag.kept_platforms) == ("copied", old.digest, source.digest, [])
    assert world.stored.manifest(world.destination, "1") == (200, source.media_type, source.manifest)
    world.stored.holds(world.destination, "1")


def test_nested_indexes_are_copied_whole_however_deep(world: World) -> None:
    """Rule 2.3."""
    deepest = image("linux/arm64", [layer(f"deep {world.name}", 200)])
    source = index([index([index([deepest]), image("linux/amd64")]), image("linux/s390x")])
    assert world.push_one(world.put_a(source)).new_digest == source.digest
    assert deepest.digest in world.stored.holds(world.destination, "1")


@pytest.mark.parametrize("single_arch", ["copy", "merge"])
@pytest.mark.parametrize("held", [None, image("linux/s390x")])
def test_an_artifact_is_copied_as_it_is(world: World, single_arch: str, held: images.Image | None) -> None:
    """Rules 2.2 and 3.2: it names no platform to merge it by; its subject need not be there."""
    subject = image("linux/amd64")
    source = artifact(b"a note", subject=subject)
    if held is not None:
        world.put_b(held)
    tag = world.push_one(world.put_a(source), single_arch=single_arch)
    assert (tag.action, tag.new_digest) == ("copied", source.digest)
    assert world.stored.manifest(world.destination, "1") == (200, source.media_type, source.manifest)
    assert world.stored.manifest(world.destination, subject.digest)[0] == 404
    world.stored.holds(world.destination, "1")


@pytest.mark.parametrize("docker", [True, False])
def test_a_single_arch_image_with_an_attestation_of_another_platform_beside_it(world: World, docker: bool) -> None:
    """Rules 2.2 and 4.3: it replaces its platform, and what belongs to others stays with them."""
    old, other = image("linux/arm64", [layer("old", 10)]), image("linux/amd64")
    of_old, of_other = images.attestation(old), images.attestation(other)
    world.put_b(index([of_old, old, other, of_other]))
    source = image("linux/arm64", [layer(f"new {world.name}", 20)], docker=docker)
    reference = world.put_a(source)
    tag = world.push_one(reference)
    assert (tag.action, tag.kept_platforms) == ("merged", ["linux/amd64"])
    assert [entry["digest"] for entry in world.entries()] == [other.digest, of_other.digest, source.digest]
    world.stored.holds(world.destination, "1")
    again = world.push_one(reference)
    assert (again.action, again.new_digest) == ("unchanged", tag.new_digest)
