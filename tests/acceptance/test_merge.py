"""BEHAVIOUR section 4 on two real registries: what a merged index holds, and what protects it."""

from typing import Any

import pytest

from tasks.coordination.ledger import HashLedger
from tasks.oci.platform import Platform
from tasks.transfer.request.target import Target
from tests.acceptance.conftest import World, actions
from tests.support import images
from tests.support.images import Image, attestation, entry, image, index, layer


def made(platform: Any, seed: str = "", *, docker: bool = False) -> Image:
    return image(platform, [layer(f"merge {seed} {platform}", 300)], docker=docker)


def puts(world: World) -> list[str]:
    """Return the references of all manifests that were put into the destination of this test, in their order."""
    prefix = f"/v2/{world.destination}/manifests/"
    return [
        request.path.removeprefix(prefix)
        for request in world.b.requests()
        if request.method == "PUT" and request.path.startswith(prefix)
    ]


def test_several_entries_of_one_platform_stay(world: World) -> None:
    """Rule 4.1: gzip and zstd of the source replace what was there, those of the destination stay together."""
    gzip, zstd = made("linux/amd64", "gzip"), made("linux/amd64", "zstd")
    noted = {"io.github.containers.compression.zstd": "true"}
    old, kept_gzip, kept_zstd = made("linux/amd64", "old"), made("linux/386", "gzip"), made("linux/386", "zstd")
    world.put_b(index([kept_gzip, old, entry(kept_zstd, annotations=noted)]))
    tag = world.push_one(world.put_a(index([gzip, entry(zstd, annotations=noted)])))
    assert world.digests() == [kept_gzip.digest, kept_zstd.digest, gzip.digest, zstd.digest]
    assert [each.get("annotations") for each in world.entries()] == [None, noted, None, noted]
    assert tag.kept_platforms == ["linux/386"]


def test_entries_without_platform_are_kept_by_digest(world: World) -> None:
    """Rule 4.3: referrers go and stay with the subject that their manifests name."""
    old, kept, new = made("linux/amd64", "old"), made("linux/386"), made("linux/amd64", "new")
    of_old, of_kept = images.artifact(b"of old", subject=old), images.artifact(b"of kept", subject=kept)
    alone, shared = images.artifact(b"alone"), images.artifact(b"shared")
    world.put_b(index([of_old, of_kept, old, kept, alone, shared]))
    reference = world.put_a(index([shared, new]))
    world.push_one(reference)
    loose = sorted([shared.digest, alone.digest])
    assert world.digests() == [kept.digest, of_kept.digest, new.digest, *loose]
    assert world.push_one(reference).action == "unchanged"


def test_one_artifact_that_both_list_does_not_flip_a_repeated_push(world: World) -> None:
    """Rule 4.6: though its subject was the image that is replaced."""
    old, kept, new = made("linux/amd64", "old"), made("linux/386"), made("linux/amd64", "new")
    of_old = images.artifact(b"of old", subject=old)
    world.put_b(index([old, kept, of_old]))
    reference = world.put_a(index([new, of_old]))
    first = world.push_one(reference)
    assert world.digests() == [each.digest for each in (kept, new, of_old)]
    again = world.push_one(reference)
    assert (again.action, again.new_digest) == ("unchanged", first.new_digest)


def test_windows_versions_are_exact_where_the_target_says_so(world: World) -> None:
    """Rule 4.2: a setting makes it exact."""

    def windows(version: str) -> Image:
        return made({"architecture": "amd64", "os": "windows", "os.version": version}, docker=True)

    old, new = windows("10.0.17763.1"), windows("10.0.17763.5329")
    world.put_b(index([old], docker=True))
    world.targets[world.name] = Target(host=world.b.host, exact_os_version=True)
    item = {"source": world.put_a(index([new], docker=True)), "destinations": {world.destination: ["1"]}}
    (tag,) = world.push(item, target=world.name).items[0].tags
    assert (tag.action, tag.kept_platforms) == ("merged", ["windows/amd64:10.0.17763.1"])
    assert world.digests() == [old.digest, new.digest]


def test_a_target_may_name_the_eligible_platforms(world: World) -> None:
    """Rule 4.7: the item's word counts before the target's; the rest stays as at B."""
    new = {each: made(f"linux/{each}", "new") for each in ("amd64", "arm64", "s390x")}
    old = {each: made(f"linux/{each}", "old") for each in ("amd64", "arm64")}
    world.targets[world.name] = Target(host=world.b.host, platforms=(Platform("linux", "aarch64"),))
    world.put_b(index(list(old.values())))
    item = {"source": world.put_a(index(list(new.values()))), "destinations": {world.destination: ["1", "2"]}}
    one, two = world.push(item, target=world.name).items[0].tags
    assert (one.action, one.kept_platforms, two.action) == ("merged", ["linux/amd64"], "copied")
    assert world.digests() == [old["amd64"].digest, new["arm64"].digest]
    assert world.digests("2") == [new["arm64"].digest]
    own = item | {"platforms": ["linux/s390x"], "destinations": {world.destination: ["1"]}}
    assert actions(world.push(own, target=world.name)) == ["merged"]
    assert world.digests() == [old["amd64"].digest, new["arm64"].digest, new["s390x"].digest]
    world.stored.holds(world.destination, "1")


def test_source_images_are_copied_whole_whatever_platforms_the_target_takes(world: World) -> None:
    """Rules 2.2 and 4.7."""
    world.targets[world.name] = Target(host=world.b.host, platforms=(Platform("linux", "s390x"),))
    source = images.source_image()
    item = {"source": world.put_a(source), "destinations": {world.destination: ["1"]}, "kind": "source"}
    assert actions(world.push(item, target=world.name)) == ["copied"]
    assert world.stored.digest(world.destination, "1") == source.digest


def test_a_source_that_the_ledger_lost_is_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 7.5: Redis may be emptied while a push is planned."""
    monkeypatch.setattr(HashLedger, "content", lambda *_: None)
    world.put_b(index([made("linux/386")]), "1")
    reference = world.put_a(index([made("linux/amd64")]))
    assert actions(world.push(world.item(reference, "1"))) == ["merged"]


@pytest.mark.parametrize("tag", ["1", "x" * 128])
def test_a_merged_index_gets_a_tag_of_its_own_before_the_floating_one_moves(world: World, tag: str) -> None:
    """Rule 4.8: valid, at most 128 characters, the same on a repeat."""
    world.put_b(index([made("linux/386")]), tag)
    reference = world.put_a(index([made("linux/amd64")]))
    (first,) = world.push(world.item(reference, tag)).items[0].tags
    protective = first.protective_tag
    assert protective is not None
    assert len(protective) <= 128
    assert first.new_digest is not None
    assert puts(world)[-2:] == [protective, tag]
    assert world.stored.digest(world.destination, protective) == world.stored.digest(world.destination, tag)
    assert world.stored.tags(world.destination) == sorted([tag, protective])
    # The tag is put back by someone, and merged again: the protective tag is there already.
    world.put_b(index([made("linux/386")]), tag)
    before = len(puts(world))
    (again,) = world.push(world.item(reference, tag)).items[0].tags
    assert (again.new_digest, again.protective_tag) == (first.new_digest, protective)
    assert protective not in puts(world)[before:]
    assert world.stored.tags(world.destination) == sorted([tag, protective])


def test_each_distinct_merge_gets_a_tag_of_its_own(world: World) -> None:
    """Rule 4.8."""
    world.put_b(index([made("linux/386")]), "1")
    world.put_b(index([made("linux/s390x")]), "2")
    report = world.push(world.item(world.put_a(index([made("linux/amd64")])), "1", "2", "3"))
    protective = [tag.protective_tag for tag in report.items[0].tags]
    assert protective[2] is None
    assert len(set(protective)) == 3
    assert world.stored.tags(world.destination) == sorted(["1", "2", "3", *filter(None, protective)])


def test_a_child_that_b_lost_is_dropped_where_the_target_says_so(world: World) -> None:
    """Rule 4.9: with what refers to it; never a dangling index."""
    lost, kept, new = made("linux/s390x", world.name), made("linux/386"), made("linux/amd64")
    of_lost = attestation(lost)
    world.put_b(index([lost, of_lost, kept]))
    _delete(world, lost.digest)
    world.targets[world.name] = Target(host=world.b.host, missing_children="drop")
    item = {"source": world.put_a(index([new])), "destinations": {world.destination: ["1"]}}
    (tag,) = world.push(item, target=world.name).items[0].tags
    assert (tag.action, tag.kept_platforms) == ("merged", ["linux/386"])
    assert world.digests() == [kept.digest, new.digest]
    world.stored.holds(world.destination, "1")


def test_a_merge_that_is_repeated_after_the_source_moved_replaces_only_its_platforms(world: World) -> None:
    """Rules 4.1 and 7.1: three pushes of three builds, one tag."""
    first, second = index([made("linux/amd64", "1")]), index([made("linux/arm64", "1"), made("linux/386", "1")])
    third = index([made("linux/amd64", "2"), made("linux/386", "2")])
    for number, source in enumerate((first, second, third)):
        world.push(world.item(world.put_a(source, str(number))))
    amd64, i386 = (each["digest"] for each in third.document["manifests"])
    assert world.digests() == [i386, amd64, second.document["manifests"][0]["digest"]]
    world.stored.holds(world.destination, "1")


def _delete(world: World, digest: str) -> None:
    import requests

    requests.delete(f"{world.b.url}/v2/{world.destination}/manifests/{digest}", timeout=10).raise_for_status()
