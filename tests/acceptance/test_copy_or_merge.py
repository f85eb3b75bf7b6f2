"""BEHAVIOUR sections 2 to 4 on two real registries."""

import json

import pytest

from tests.acceptance.conftest import World, actions
from tests.support import images
from tests.support.images import attestation, entry, image, index


def make(*platforms: str, docker: bool = False, seed: str = "") -> tuple[images.Index, list[images.Image]]:
    made = [
        image(platform, [images.layer("base", 3000), images.layer(f"{platform}{seed}", 1000)], docker=docker)
        for platform in platforms
    ]
    return index(made, docker=docker), made


@pytest.mark.parametrize("docker", [True, False], ids=["docker list", "OCI index"])
def test_absent_tag_gets_the_source_index_as_it_is(world: World, docker: bool) -> None:
    """Rules 2.4, 3.1, 3.4."""
    source, _ = make("linux/amd64", "linux/arm64", docker=docker)
    tag = world.push_one(world.put_a(source))
    assert (tag.action, tag.old_digest, tag.new_digest) == ("copied", None, source.digest)
    assert world.stored.manifest(world.destination, "1") == (200, source.media_type, source.manifest)
    world.stored.holds(world.destination, "1")


@pytest.mark.parametrize("docker", [True, False], ids=["docker list", "OCI index"])
def test_tag_with_fewer_platforms_is_replaced_by_the_source(world: World, docker: bool) -> None:
    """Rules 3.1 and 3.3: docker list and OCI index count alike."""
    source, _ = make("linux/amd64", "linux/arm64", docker=docker)
    old, _ = make("linux/amd64", docker=not docker, seed="old")
    world.put_b(old)
    tag = world.push_one(world.put_a(source))
    assert (tag.action, tag.old_digest, tag.new_digest) == ("copied", old.digest, source.digest)
    assert tag.kept_platforms == []
    world.stored.holds(world.destination, "1")


@pytest.mark.parametrize("source_docker", [True, False])
@pytest.mark.parametrize("old_docker", [True, False])
def test_platform_that_the_source_lacks_is_kept(world: World, source_docker: bool, old_docker: bool) -> None:
    """Rules 3.2, 3.3, 4.1, 4.5, 4.8."""
    source, made = make("linux/amd64", "linux/arm64", docker=source_docker)
    old, kept = make("linux/s390x", "linux/amd64", docker=old_docker, seed="old")
    world.put_b(old)
    tag = world.push_one(world.put_a(source))
    assert (tag.action, tag.old_digest, tag.kept_platforms) == ("merged", old.digest, ["linux/s390x"])
    assert world.entries() == [*(each.descriptor() for each in made), kept[0].descriptor()]
    media_type = images.DOCKER_LIST if source_docker and old_docker else images.OCI_INDEX
    status, content_type, content = world.stored.manifest(world.destination, "1")
    assert (status, content_type, json.loads(content)["mediaType"]) == (200, media_type, media_type)
    assert tag.protective_tag is not None
    assert world.stored.digest(world.destination, tag.protective_tag) == tag.new_digest
    world.stored.holds(world.destination, "1")


def test_repeated_merge_is_unchanged_and_writes_nothing(world: World) -> None:
    """Rules 4.6 and 6.5."""
    source, _ = make("linux/amd64", "linux/arm64")
    old, _ = make("linux/s390x")
    world.put_b(old)
    reference = world.put_a(source)
    first = world.push_one(reference)
    writes = _writes(world)
    second = world.push_one(reference)
    assert (second.action, second.new_digest, second.kept_platforms) == ("unchanged", first.new_digest, ["linux/s390x"])
    assert _writes(world) == writes


def test_single_image_of_a_platform_that_the_source_has_is_overwritten_with_a_warning(world: World) -> None:
    """Rule 3.2."""
    source, _ = make("linux/amd64", "linux/arm64")
    old = image("linux/arm64", [images.layer("old", 10)])
    world.put_b(old)
    tag = world.push_one(world.put_a(source))
    assert (tag.action, tag.old_digest, tag.new_digest) == ("copied", old.digest, source.digest)
    assert [warning.code for warning in tag.warnings] == ["manifest_overwritten"]
    assert old.digest in tag.warnings[0].message


def test_single_image_of_a_platform_that_the_source_lacks_is_kept(world: World) -> None:
    """Rule 3.2: an index of both."""
    source, made = make("linux/amd64", "linux/arm64")
    old = image("linux/s390x")
    world.put_b(old)
    reference = world.put_a(source)
    tag = world.push_one(reference)
    assert (tag.action, tag.old_digest, tag.kept_platforms) == ("merged", old.digest, ["linux/s390x"])
    assert world.digests() == [made[0].digest, made[1].digest, old.digest]
    world.stored.holds(world.destination, "1")
    assert world.push_one(reference).action == "unchanged"


@pytest.mark.parametrize("docker", [True, False])
def test_images_that_are_pushed_one_by_one_assemble_to_one_tag(world: World, docker: bool) -> None:
    """Rules 3.2, 4.1, 4.5, 4.6: with one digest in any order, and a second round writes nothing."""
    made = {each: image(f"linux/{each}", docker=docker) for each in ("amd64", "arm64", "s390x")}
    for each, built in made.items():
        world.put_a(built, each)
    for tag, order in {"1": "amd64 arm64 s390x", "2": "s390x amd64 arm64", "3": "arm64 s390x amd64"}.items():
        pushed = [world.push(world.item(_at_a(world, each), tag)) for each in order.split()]
        assert [actions(report) for report in pushed] == [["copied"], ["merged"], ["merged"]]
        assert [report.items[0].tags[0].warnings for report in pushed] == [[]] * 3
        assert world.digests(tag) == [each.digest for each in made.values()]
        world.stored.holds(world.destination, tag)
    assert len({world.stored.digest(world.destination, tag) for tag in "123"}) == 1
    status, media_type, _ = world.stored.manifest(world.destination, "1")
    assert (status, media_type) == (200, images.DOCKER_LIST if docker else images.OCI_INDEX)
    writes = _writes(world)
    assert [actions(world.push(world.item(_at_a(world, each), "1", "2", "3"))) for each in made] == [
        ["unchanged"] * 3
    ] * 3
    assert _writes(world) == writes


def test_index_that_names_no_platforms_loses_none(world: World) -> None:
    """Rule 4.2: at B: they are read from the configurations."""
    old, new = [image(f"linux/{each}", [images.layer("old", 10)]) for each in ("amd64", "arm64")], image("linux/amd64")
    world.put_b(index([entry(each, platform=None) for each in old]))
    tag = world.push_one(world.put_a(index([new])))
    assert (tag.action, tag.kept_platforms) == ("merged", ["linux/arm64"])
    assert world.digests() == [new.digest, old[1].digest]
    assert world.entries()[1] == old[1].descriptor() | {"platform": None}
    world.stored.holds(world.destination, "1")


def test_index_that_names_no_platforms_replaces_those_of_its_images(world: World) -> None:
    """Rules 4.2 and 4.7: at A, for selecting, too; one request more for each such image than for others."""
    new = [image(f"linux/{each}", [images.layer("new", 10)]) for each in ("amd64", "arm64")]
    old, kept = image("linux/arm64"), image("linux/s390x")
    reference = world.put_a(index([entry(each, platform=None) for each in new]))
    world.put_b(index([old, kept]))
    assert world.push_one(reference).kept_platforms == ["linux/s390x"]
    assert world.digests() == [new[0].digest, new[1].digest, kept.digest]
    read = [request.path for request in world.a.requests() if request.method == "GET"]
    assert [read.count(f"/v2/{world.source}/manifests/{each.digest}") for each in new] == [1, 1]
    world.put_b(index([old, kept]))
    assert world.push_one(reference, platforms=["linux/arm64"]).kept_platforms == ["linux/s390x"]
    assert world.digests() == [new[1].digest, kept.digest]


@pytest.mark.parametrize("source", [images.artifact(b"chart"), image("linux/amd64", config={"architecture": ""})])
def test_image_whose_platform_is_not_known_does_not_overwrite_an_index(world: World, source: images.Image) -> None:
    """Rule 3.2."""
    old, _ = make("linux/amd64", "linux/arm64")
    world.put_b(old)
    reference = world.put_a(source)
    tag = world.push_one(reference)
    assert (tag.action, tag.error and tag.error.code) == ("failed", "platform_unknown")
    assert world.stored.digest(world.destination, "1") == old.digest
    world.put_b(image("linux/s390x"), "2")
    over = world.push(world.item(reference, "2")).items[0].tags[0]
    assert (over.action, [warning.code for warning in over.warnings]) == ("copied", ["platform_unknown"])
    assert world.push_one(reference, merge=False).new_digest == source.digest


def test_what_is_only_copied_is_not_judged(world: World) -> None:
    """Rule 2.4: nulls, absent fields and types that nobody has heard of, byte by byte."""
    config = images.layer("config", 10)
    empty = {"mediaType": "application/vnd.never.heard.of+json", "digest": config.digest, "size": len(config.content)}
    document = {
        "schemaVersion": 2,
        "mediaType": images.OCI_MANIFEST,
        "config": empty | {"annotations": {"a": None}},
        "layers": None,
        "annotations": {"b": None},
        "subject": None,
    }
    odd = images.Image(json.dumps(document, indent=2).encode(), images.OCI_MANIFEST, {config.digest: config.content})
    listed = index([entry(odd, platform=None, annotations=None, urls=None), entry(image("linux/arm"), size=None)])
    nodes: tuple[images.Node, ...] = (odd, listed)
    for number, node in enumerate(nodes):
        report = world.push(world.item(world.put_a(node, f"odd{number}"), f"odd{number}"))
        assert actions(report) == ["copied"]
        assert world.stored.manifest(world.destination, f"odd{number}") == (200, node.media_type, node.manifest)


def test_an_odd_entry_of_one_item_leaves_the_others_of_its_push_alone(world: World) -> None:
    """Rules 2.4, 6.2: they share an image, whose type one index leaves out, and whose platform the other."""
    shared = image("linux/amd64")
    nodes = [index([entry(shared, mediaType=None)]), index([entry(shared, platform=None)])]
    items = [world.item(world.put_a(node, f"odd{number}"), f"odd{number}") for number, node in enumerate(nodes)]
    report = world.push(*items)
    assert actions(report) == ["copied", "copied"], report
    for number, node in enumerate(nodes):
        assert world.stored.manifest(world.destination, f"odd{number}") == (200, node.media_type, node.manifest)


def test_what_two_clients_read_in_two_ways_is_not_pushed(world: World) -> None:
    """Rule 2.3: another platform for those who read keys without regard to case."""
    built = image("linux/amd64")
    hostile = index([entry(built, platform={"os": "linux", "architecture": "amd64", "Architecture": "s390x"})])
    tag = world.push_one(world.put_a(hostile), platforms=["linux/amd64"])
    assert (tag.action, tag.error and tag.error.code) == ("failed", "manifest_ambiguous")
    assert world.stored.tags(world.destination) == []
    world.put_b(hostile)
    good = world.push_one(world.put_a(index([image("linux/arm64")]), "good"))
    assert (good.action, good.error and good.error.code) == ("failed", "manifest_ambiguous")
    assert world.stored.digest(world.destination, "1") == hostile.digest


def test_merge_off_overwrites_an_index(world: World) -> None:
    source, _ = make("linux/amd64")
    old, _ = make("linux/s390x")
    world.put_b(old)
    assert world.push_one(world.put_a(source), merge=False).new_digest == source.digest


def test_source_image_is_copied_as_it_is_even_over_an_index(world: World) -> None:
    """Rule 2.2."""
    source = images.source_image()
    old, _ = make("linux/s390x")
    world.put_b(old)
    report = world.push(world.item(world.put_a(source), kind="source"))
    assert (report.items[0].kind, actions(report)) == ("source", ["copied"])
    assert world.stored.manifest(world.destination, "1") == (200, source.media_type, source.manifest)


def test_source_image_that_is_a_list_is_copied_as_it_is(world: World) -> None:
    """Rule 2.2."""
    source, _ = make("linux/amd64", docker=True)
    old, _ = make("linux/s390x", docker=True)
    world.put_b(old)
    assert world.push_one(world.put_a(source), kind="source").new_digest == source.digest


def test_single_arch_image_is_refused_where_the_item_says_so(world: World) -> None:
    """Rule 2.2."""
    tag = world.push_one(world.put_a(image("linux/amd64")), single_arch="refuse")
    assert (tag.action, tag.error and tag.error.code) == ("failed", "single_arch_refused")
    assert world.stored.tags(world.destination) == []


def test_single_arch_image_is_put_into_an_existing_index(world: World) -> None:
    """Rule 2.2: by the platform in its configuration."""
    source = image({"architecture": "arm", "os": "linux", "variant": "v6"})
    old, kept = make("linux/amd64", "linux/arm/v7", seed="old")
    world.put_b(old)
    reference = world.put_a(source)
    tag = world.push_one(reference)
    assert (tag.action, tag.kept_platforms) == ("merged", ["linux/amd64", "linux/arm/v7"])
    assert [each["digest"] for each in world.entries()] == [kept[0].digest, source.digest, kept[1].digest]
    assert world.entries()[1]["platform"] == {"architecture": "arm", "os": "linux", "variant": "v6"}
    assert world.push_one(reference).action == "unchanged"


def test_single_arch_image_is_copied_where_there_is_no_index(world: World) -> None:
    """Rule 2.2."""
    source = image("linux/amd64", docker=True)
    assert world.push_one(world.put_a(source)).new_digest == source.digest
    assert world.stored.manifest(world.destination, "1") == (200, source.media_type, source.manifest)


def test_single_arch_copy_overwrites_an_index(world: World) -> None:
    """Rule 2.2."""
    source = image("linux/amd64")
    world.put_b(make("linux/s390x")[0])
    assert world.push_one(world.put_a(source), single_arch="copy").new_digest == source.digest


def test_tag_that_moves_after_it_was_resolved_changes_nothing(world: World) -> None:
    """Rule 2.1: a digest in the reference counts more than its tag."""
    first, _ = make("linux/amd64", seed="first")
    second, _ = make("linux/amd64", seed="second")
    reference = world.put_a(first)
    world.put_a(second)
    assert world.push_one(f"{reference}@{first.digest}").new_digest == first.digest


def test_missing_source_is_a_named_error(world: World) -> None:
    """Rule 2.3."""
    tag = world.push_one(f"{world.a.host}/{world.source}:gone")
    assert tag.error is not None
    assert tag.error.code == "source_missing"
    assert f"{world.source}:gone" in tag.error.message


def test_missing_child_of_the_source_fails_the_whole_item(world: World) -> None:
    """Rule 2.3: no tag of that item moves, in no repository."""
    source, made = make("linux/amd64", "linux/arm64")
    reference = world.put_a(source)
    _delete(world, made[1].digest)
    item = world.item(reference, "1", "2")
    item["destinations"][f"{world.b.host}/{world.name}/other"] = ["1"]
    # This repository has the child: even there the item is incomplete.
    world.put_b(made[1], "child", f"{world.name}/other")
    report = world.push(item)
    assert actions(report) == ["failed"] * 3
    assert report.items[0].error is not None
    assert report.items[0].error.code == "source_child_missing"
    assert world.stored.tags(world.destination) == []
    assert world.stored.tags(f"{world.name}/other") == ["child"]


def test_nested_index_is_copied_whole(world: World) -> None:
    """Rule 2.3."""
    inner, _ = make("linux/amd64")
    outer = index([inner, image("linux/arm64")])
    assert world.push_one(world.put_a(outer)).new_digest == outer.digest
    assert inner.digest in world.stored.holds(world.destination, "1")


def test_arm_variants_are_platforms_of_their_own(world: World) -> None:
    """Rule 4.2."""
    source, made = make("linux/arm/v7", "linux/arm64")
    old, kept = make("linux/arm/v6", "linux/arm", "linux/arm64/v8", seed="old")
    world.put_b(old)
    tag = world.push_one(world.put_a(source))
    assert tag.kept_platforms == ["linux/arm/v6"]
    assert [each["digest"] for each in world.entries()] == [kept[0].digest, made[0].digest, made[1].digest]


def test_patched_windows_image_replaces_its_predecessor(world: World) -> None:
    """Rule 4.2: os.version counts by its first three parts."""

    def windows(version: str) -> images.Image:
        return image({"architecture": "amd64", "os": "windows", "os.version": version}, docker=True)

    new, old, other = windows("10.0.17763.5000"), windows("10.0.17763.1"), windows("10.0.20348.2113")
    world.put_b(index([old, other], docker=True))
    tag = world.push_one(world.put_a(index([new, image("linux/amd64", docker=True)], docker=True)))
    assert tag.kept_platforms == ["windows/amd64:10.0.20348.2113"]
    assert [each["digest"] for each in world.entries()][1:] == [new.digest, other.digest]


def test_attestations_go_and_stay_with_their_image(world: World) -> None:
    """Rule 4.3."""
    replaced, kept, new = image("linux/amd64"), image("linux/s390x"), image("linux/amd64", [images.layer("new", 10)])
    old_one, old_two, mine = attestation(replaced), attestation(kept), attestation(new)
    world.put_b(index([replaced, old_one, kept, old_two]))
    world.push_one(world.put_a(index([new, mine])))
    assert [each["digest"] for each in world.entries()] == [new.digest, mine.digest, kept.digest, old_two.digest]
    world.stored.holds(world.destination, "1")


def test_unknown_fields_survive_to_the_letter(world: World) -> None:
    """Rule 4.4."""
    one, two = image("linux/amd64"), image("linux/s390x")
    source = index([entry(one, **{"x-mine": {"deep": [1.10, None]}})], annotations={"from": "source"})
    old = index([entry(two, **{"x-theirs": 12345678901234567890})], annotations={"from": "destination"})
    world.put_b(old)
    world.push_one(world.put_a(source))
    _, _, content = world.stored.manifest(world.destination, "1")
    assert b'"x-mine":{"deep":[1.1,null]}' in content
    assert b'"x-theirs":12345678901234567890' in content
    assert json.loads(content)["annotations"] == {"from": "source"}


def test_only_eligible_platforms_are_taken(world: World) -> None:
    """Rule 4.7."""
    source, made = make("linux/amd64", "linux/arm64", "linux/ppc64le")
    old, kept = make("linux/ppc64le", seed="old")
    world.put_b(old)
    tag = world.push_one(world.put_a(source), platforms=["linux/arm64"])
    assert (tag.action, tag.kept_platforms) == ("merged", ["linux/ppc64le"])
    assert [each["digest"] for each in world.entries()] == [made[1].digest, kept[0].digest]


def test_eligible_platforms_that_the_source_lacks_are_a_named_error(world: World) -> None:
    source, _ = make("linux/amd64")
    tag = world.push_one(world.put_a(source), platforms=["linux/s390x"])
    assert tag.error is not None
    assert tag.error.code == "platform_missing"


def test_kept_child_that_the_registry_lost_is_a_named_error(world: World) -> None:
    """Rule 4.9: never a dangling index."""
    source, _ = make("linux/amd64")
    old, lost = make("linux/s390x", seed="lost")
    world.put_b(old)
    _delete_b(world, lost[0].digest)
    tag = world.push_one(world.put_a(source))
    assert tag.error is not None
    assert tag.error.code == "destination_child_missing"
    assert world.stored.digest(world.destination, "1") == old.digest


@pytest.mark.parametrize("nodes", [2, 20])
def test_one_image_goes_to_many_repositories_by_mounts(world: World, nodes: int) -> None:
    """Rule 5.1: upload once, mount into the others."""
    shared = images.layer(f"base of {world.name}", 3000)
    source = index(
        [
            image(each, [shared, images.layer(f"{each} of {world.name}", 1000)])
            for each in ("linux/amd64", "linux/arm64")
        ]
    )
    repositories = [f"{world.name}/fan{number}" for number in range(nodes)]
    item = world.item(world.put_a(source))
    item["destinations"] = {f"{world.b.host}/{repository}": ["1", "2", "1"] for repository in repositories}
    report = world.push(item)
    assert actions(report) == ["copied"] * 2 * nodes
    blobs = 5  # one shared base layer, and a configuration and a layer for each platform
    assert report.totals.blobs_copied == blobs
    assert report.totals.blobs_mounted + report.totals.blobs_skipped == blobs * (nodes - 1) + nodes
    for repository in repositories:
        assert world.stored.tags(repository) == ["1", "2"]
        world.stored.holds(repository, "1")


def _at_a(world: World, tag: str) -> str:
    return f"{world.a.host}/{world.source}:{tag}"


def _writes(world: World) -> int:
    return sum(request.method in {"PUT", "POST", "PATCH"} for request in world.b.requests())


def _delete(world: World, digest: str) -> None:
    import requests

    assert requests.delete(f"{world.a.url}/v2/{world.source}/manifests/{digest}", timeout=10).status_code == 202


def _delete_b(world: World, digest: str) -> None:
    import requests

    assert requests.delete(f"{world.b.url}/v2/{world.destination}/manifests/{digest}", timeout=10).status_code == 202
