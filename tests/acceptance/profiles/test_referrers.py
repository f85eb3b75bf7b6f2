"""What refers to an image is where clients of the destination look for it (BEHAVIOUR section 9)."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tasks.contract import TagReport
from tests.acceptance.profiles.cases import PRODUCTS, over
from tests.acceptance.profiles.conftest import Scene
from tests.acceptance.profiles.referrers import (
    FEW,
    LISTS,
    REFUSING,
    SBOM,
    TAKING,
    assert_complete,
    fallback,
    layers,
    listed,
    offer,
    put,
    sign,
)
from tests.support import images
from tests.support.profiles import profiles
from tests.support.profiles.profile import Profile
from tests.support.profiles.server import ProfileRegistry
from tests.support.scripted import Answer
from tests.support.signatures import BUNDLE, DSSE, SIMPLE_SIGNING, Signer, sig_tag, under_tag


@pytest.fixture(params=["api", "no-api", "gitlab"])
def source(request: pytest.FixtureRequest) -> Iterator[ProfileRegistry]:
    """Run over sources with and without the API."""
    chosen: dict[str, Profile] = {
        "api": profiles.STRICT,
        "no-api": profiles.DISTRIBUTION_2_8,
        "gitlab": profiles.GITLAB,
    }
    with ProfileRegistry(chosen[request.param]) as registry:
        yield registry


ALL_TYPES = {SBOM: 1, BUNDLE: 2, SIMPLE_SIGNING: 1, DSSE: 1}


@over(TAKING)
def test_what_refers_to_an_image_is_found_at_the_destination(scene: Scene, source: ProfileRegistry) -> None:
    """Rules 9.1 and 9.2: in both schemes, of index and child, and what refers to that."""
    signed = sign(scene.index("linux/amd64", "linux/arm64"), Signer())
    tag = scene.push_one(offer(source, f"{scene.name}/src", signed))
    assert (tag.action, tag.error, tag.warnings, tag.referrers_left) == ("copied", None, [], [])
    assert tag.referrers == ALL_TYPES
    assert_complete(scene, signed)


@over(PRODUCTS)
def test_an_image_without_referrers_costs_the_destination_nothing(scene: Scene, source: ProfileRegistry) -> None:
    """Rule 9.5: nothing is asked at B; at A one listing, and one request for each manifest."""
    node = scene.index("linux/amd64", "linux/arm64")
    source.put(f"{scene.name}/src", node, "1")
    tag = scene.push_one(f"{source.host}/{scene.name}/src:1")
    assert (tag.action, tag.error, tag.referrers) == ("copied", None, {})
    assert not [each for each in scene.registry.requests() if "/referrers/" in each.path or "sha256-" in each.path]
    asked = [each.path for each in source.requests()]
    assert sum("/tags/list" in each for each in asked) == 1
    assert sum("/referrers/" in each for each in asked) == (3 if source.profile.referrers.api else 1)
    assert not [each for each in asked if "sha256-" in each]


@over(FEW)
def test_an_unchanged_push_brings_new_signatures(scene: Scene, source: ProfileRegistry) -> None:
    """Rules 9.2 and 9.5: one that brings nothing new asks no more at B than for the tag."""
    node = scene.index("linux/amd64", "linux/arm64")
    reference = f"{source.host}/{scene.name}/src:1"
    source.put(f"{scene.name}/src", node, "1")
    assert scene.push_one(reference).action == "copied"
    before = len(scene.registry.requests())
    assert scene.push_one(reference).action == "unchanged"
    assert len([each for each in scene.registry.requests()[before:] if "/manifests/" in each.path]) == 1
    signed = sign(node, Signer())
    offer(source, f"{scene.name}/src", signed)
    tag = scene.push_one(reference)
    assert (tag.action, tag.referrers) == ("unchanged", ALL_TYPES)
    assert_complete(scene, signed)
    before = len(scene.registry.requests())
    assert scene.push_one(reference).referrers == ALL_TYPES
    assert scene.writes(before) == []


@over(FEW)
def test_tags_of_one_repository_look_at_each_list_once(scene: Scene, source: ProfileRegistry) -> None:
    """Rule 9.2: however many tags move at the same time, for each of which they must be there."""

    def looks(repository: str, *tags: str) -> int:
        before = len(scene.registry.requests())
        (item,) = scene.push(scene.request(reference, *tags, repositories=(repository,))).items
        assert [tag.referrers for tag in item.tags] == [ALL_TYPES] * len(tags)
        paths = [each.path for each in scene.registry.requests()[before:]]
        return sum("/referrers/" in path or "/manifests/sha256-" in path for path in paths)

    reference = offer(source, f"{scene.name}/src", sign(scene.index("linux/amd64", "linux/arm64"), Signer()))
    tags = ("1", "2", "3", "4", "5", "6")
    # The first push of all asks whether there is an API.
    looks(f"{scene.name}/c", "1")
    assert looks(f"{scene.name}/app", *tags) == looks(f"{scene.name}/b", "1")
    assert looks(f"{scene.name}/app", *tags) == looks(f"{scene.name}/b", "1")


@over(LISTS)
def test_a_list_says_what_a_manifest_says_of_itself(scene: Scene) -> None:
    """Rule 9.2: also where the API of the source leaves out what a list may not lack."""
    node, signer = scene.index("linux/amd64", "linux/arm64"), Signer()
    bundle = signer.bundle(node)
    reference = scene.offer(node)
    scene.source.put(f"{scene.name}/src", bundle)
    bare = {"mediaType": bundle.media_type, "digest": bundle.digest, "size": len(bundle.manifest)}
    content = json.dumps({"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": [bare]}).encode()
    answer = Answer(200, {"Content-Type": images.OCI_INDEX}, content)
    scene.source.gates.inject("GET", f"/referrers/{node.digest}", answer)
    assert scene.push_one(reference).action == "copied"
    (entry,) = fallback(scene.registry, scene.repository, node.digest)
    assert (entry["artifactType"], entry["annotations"]) == (BUNDLE, bundle.document["annotations"])


@over(FEW)
def test_signatures_of_both_sides_are_united(scene: Scene, source: ProfileRegistry) -> None:
    """Rule 9.3: the order of B, then what is new of A; nothing is lost, and a repeat changes nothing."""
    mine, theirs, both = Signer(), Signer(), Signer()
    node = scene.index("linux/amd64")
    shared = both.layer(node.digest)
    ours, other = mine.layer(node.digest), theirs.layer(node.digest, "b")
    tag = sig_tag(node.digest)
    source.put(f"{scene.name}/src", node, "1")
    source.put(f"{scene.name}/src", under_tag([ours, shared]), tag)
    scene.registry.put(scene.repository, under_tag([other, shared]), tag)
    elsewhere, here = theirs.bundle(node), mine.bundle(node)
    put(scene.registry, scene.repository, elsewhere, node.digest)
    put(source, f"{scene.name}/src", here, node.digest)
    reference = f"{source.host}/{scene.name}/src:1"
    assert scene.push_one(reference).error is None
    wanted = [each.annotations["dev.cosignproject.cosign/signature"] for each in (other, shared, ours)]
    assert layers(scene.registry, scene.repository, tag) == wanted
    assert listed(scene.registry, scene.repository, node.digest).keys() == {elsewhere.digest, here.digest}
    config = json.loads(scene.registry.store.blobs[_config(scene, tag)])
    assert config["rootfs"]["diff_ids"] == [each.digest for each in (other, shared, ours)]
    assert len(config["history"]) == 3
    before = len(scene.registry.requests())
    assert scene.push_one(reference).error is None
    assert scene.writes(before) == []


def _config(scene: Scene, tag: str) -> str:
    repository = scene.registry.store.repositories[scene.repository]
    digest: str = repository.manifests[repository.tags[tag]].document["config"]["digest"]
    return digest


@over(FEW)
def test_what_refers_to_an_index_that_is_merged_is_left(scene: Scene, source: ProfileRegistry) -> None:
    """Rule 9.4: children keep theirs, and the report names what was left."""
    scene.registry.put(scene.repository, scene.index("linux/s390x"), "1")
    signed = sign(scene.index("linux/amd64", "linux/arm64"), Signer())
    tag = scene.push_one(offer(source, f"{scene.name}/src", signed))
    assert tag.action == "merged"
    left = {each.digest: each.reason for each in tag.referrers_left}
    assert left == {signed.bundle.digest: "merged", signed.signature.digest: "merged"}
    assert tag.referrers == {SBOM: 1, BUNDLE: 1, DSSE: 1}
    assert_complete(scene, signed, but=(signed.index.digest,))
    assert listed(scene.registry, scene.repository, signed.index.digest) == {}


@over(FEW)
def test_a_subset_leaves_what_refers_to_the_index(scene: Scene, source: ProfileRegistry) -> None:
    """Rule 9.4."""
    signed = sign(scene.index("linux/amd64", "linux/arm64"), Signer())
    reference = offer(source, f"{scene.name}/src", signed)
    request = scene.request(reference, "1")
    request["items"][0]["platforms"] = ["linux/amd64"]
    (tag,) = scene.push(request).items[0].tags
    assert {each.reason for each in tag.referrers_left} == {"subset"}
    assert_complete(scene, signed, but=(signed.index.digest,))


@over(FEW)
def test_one_may_choose_types_or_none(scene: Scene, source: ProfileRegistry) -> None:
    """Rule 9.1."""
    signed = sign(scene.index("linux/amd64", "linux/arm64"), Signer())
    reference = offer(source, f"{scene.name}/src", signed)
    request = scene.request(reference, "1")
    request["items"][0]["referrers"] = "none"
    (tag,) = scene.push(request).items[0].tags
    assert (tag.action, tag.referrers) == ("copied", {})
    assert not [each for each in source.requests() if "/referrers/" in each.path or "/tags/list" in each.path]
    request["items"][0]["referrers"] = [SBOM]
    (tag,) = scene.push(request).items[0].tags
    assert (tag.action, tag.referrers) == ("unchanged", {SBOM: 1})
    assert listed(scene.registry, scene.repository, signed.child.digest) == {signed.sbom.digest: SBOM}


def refusing(scene: Scene, **options: Any) -> TagReport:
    signed = sign(scene.index("linux/amd64", "linux/arm64"), Signer())
    request = scene.request(offer(scene.source, f"{scene.name}/src", signed), "1")
    request["items"][0] |= options
    (tag,) = scene.push(request).items[0].tags
    return tag


@over(tuple(profile for profile in PRODUCTS if profile.name in REFUSING))
def test_a_registry_that_refuses_them_is_warned_of(scene: Scene) -> None:
    """Rule 9.5: the tag moves, and what it lacks is named; what has no subject came."""
    tag = refusing(scene)
    assert tag.action == "copied"
    assert [warning.code for warning in tag.warnings] == ["referrers_refused"]
    assert {each.reason for each in tag.referrers_left} == {"refused"}
    assert len(tag.referrers_left) == 3
    assert tag.referrers == {SIMPLE_SIGNING: 1, DSSE: 1}


@over(tuple(profile for profile in PRODUCTS if profile.name in REFUSING))
def test_a_tag_that_needs_them_does_not_move(scene: Scene) -> None:
    """Rule 9.5: `referrers_required`."""
    tag = refusing(scene, referrers_required=True)
    assert tag.error is not None
    assert (tag.action, tag.error.code) == ("failed", "referrers_refused")
    assert "1" not in scene.registry.tags(scene.repository)


@over(FEW)
def test_a_circle_ends(scene: Scene) -> None:
    """Rule 9.2: two manifests whose cosign tags name each other."""
    node = scene.index("linux/amd64")
    repository = f"{scene.name}/src"
    with ProfileRegistry(profiles.DISTRIBUTION_2_8) as source:
        source.put(repository, node, "1")
        one = under_tag([Signer().layer(node.digest)])
        source.put(repository, one, sig_tag(node.digest))
        # What vouches for the signature is the signature itself, and the image's fallback index lists it too.
        source.put(repository, one, sig_tag(one.digest))
        tag = scene.push_one(f"{source.host}/{repository}:1")
    assert (tag.error, tag.referrers) == (None, {SIMPLE_SIGNING: 1})
    assert scene.registry.tags(scene.repository)[sig_tag(one.digest)] == one.digest


@over(FEW)
@pytest.mark.parametrize("squatted", ["image", "index", "stranger"])
def test_a_squatted_fallback_tag_is_not_believed(scene: Scene, squatted: str) -> None:
    """Rule 9.1: neither what is no list, nor an entry whose manifest names another subject."""
    node, other = scene.index("linux/amd64"), scene.index("linux/arm64")
    repository = f"{scene.name}/src"
    with ProfileRegistry(profiles.DISTRIBUTION_2_8) as source:
        source.put(repository, node, "1")
        tag = node.digest.replace(":", "-")
        if squatted == "stranger":
            put(source, repository, Signer().bundle(other), node.digest)
        else:
            source.put(repository, other.members[0] if squatted == "image" else other, tag)
        report = scene.push_one(f"{source.host}/{repository}:1")
    assert (report.action, report.error, report.referrers) == ("copied", None, {})
    assert set(scene.registry.tags(scene.repository)) == {"1"}


@over(LISTS)
def test_a_squatted_fallback_tag_at_the_destination_is_left(scene: Scene, source: ProfileRegistry) -> None:
    """Rule 9.3: it is not written over, and the report says so."""
    signed = sign(scene.index("linux/amd64", "linux/arm64"), Signer())
    squat = scene.image("linux/s390x")
    name = signed.index.digest.replace(":", "-")
    scene.registry.put(scene.repository, squat, name)
    tag = scene.push_one(offer(source, f"{scene.name}/src", signed))
    assert tag.action == "copied"
    assert [each.digest for each in tag.referrers_left] == [signed.bundle.digest]
    assert scene.registry.tags(scene.repository)[name] == squat.digest


@over(FEW)
def test_a_release_brings_them_before_its_first_tag_moves(scene: Scene, source: ProfileRegistry) -> None:
    """Rules 9.2 and 10.1."""
    signed = sign(scene.index("linux/amd64", "linux/arm64"), Signer())
    request = scene.request(offer(source, f"{scene.name}/src", signed), "1", "2") | {"atomic": "push"}
    report = scene.push(request)
    assert [tag.referrers for tag in report.items[0].tags] == [ALL_TYPES] * 2
    assert_complete(scene, signed)
    written = [each for each in scene.writes() if each.startswith("PUT") and "/manifests/" in each]
    moved = [written.index(f"PUT /v2/{scene.repository}/manifests/{tag}") for tag in ("1", "2")]
    others = [
        number
        for number, each in enumerate(written)
        if "sha256-" in each or signed.sbom.digest in each or signed.bundle.digest in each
    ]
    assert max(others) < min(moved)


@over(FEW)
def test_verify_and_the_dry_run_look_at_them(scene: Scene, source: ProfileRegistry) -> None:
    """Rule 9.2: the dry run names what would come; a list that lost an entry is no longer what the push left."""
    scene.registry.put(scene.repository, scene.image("linux/s390x"), "other")
    signed = sign(scene.index("linux/amd64", "linux/arm64"), Signer())
    request = scene.request(offer(source, f"{scene.name}/src", signed), "1")
    (tag,) = scene.client.preview(request).items[0].tags
    assert tag.referrers == ALL_TYPES
    assert scene.writes() == []
    report = scene.push(request)
    assert scene.client.verify(report.push_id).state == "verified"
    with scene.registry.guard:
        scene.registry.store.untag(scene.registry.store.repositories[scene.repository], sig_tag(signed.index.digest))
    verification = scene.client.verify(report.push_id)
    assert (verification.state, verification.tags[0].missing) == ("broken", [signed.signature.digest])
