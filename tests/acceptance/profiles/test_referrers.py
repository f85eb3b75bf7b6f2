"""What refers to an image is where clients of the destination look for it (BEHAVIOUR section 9)."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tasks.contract import TagReport
from tests.acceptance.profiles.cases import PRODUCTS, over
from tests.acceptance.profiles.conftest import Scene
from tests.support import images
from tests.support.images import Image, Index, Layer
from tests.support.profiles import profiles
from tests.support.profiles.profile import Profile
from tests.support.profiles.server import ProfileRegistry
from tests.support.profiles.store import Manifest
from tests.support.scripted import Answer
from tests.support.signatures import BUNDLE, DSSE, SIMPLE_SIGNING, Signer, artifact, sig_tag, under_tag

SBOM = "application/spdx+json"
REFUSING = {"ecr"}
TAKING = tuple(profile for profile in PRODUCTS if profile.name not in REFUSING)
FEW = tuple(profile for profile in PRODUCTS if profile.name in {"strict", "quay", "distribution-2.8", "gitlab"})

LISTS = tuple(profile for profile in PRODUCTS if profile.name in {"distribution-2.8", "gitlab"})


@dataclass(frozen=True)
class Signed:
    """An index, what refers to it and to its first image, and what refers to that."""

    index: Index
    bundle: Image
    sbom: Image
    sbom_bundle: Image
    signature: Image
    attestation: Image

    @property
    def child(self) -> Image:
        first = self.index.members[0]
        assert isinstance(first, Image)
        return first

    @property
    def oci(self) -> dict[str, Image]:
        """Return the OCI referrers by the digest of their subject."""
        return {self.index.digest: self.bundle, self.child.digest: self.sbom, self.sbom.digest: self.sbom_bundle}

    @property
    def tags(self) -> dict[str, Image]:
        """Return what is under cosign's tags."""
        return {
            sig_tag(self.index.digest): self.signature,
            sig_tag(self.child.digest, ".att"): self.attestation,
        }


def sign(index: Index, signer: Signer) -> Signed:
    child = index.members[0]
    assert isinstance(child, Image)
    text = images.layer(f"sbom of {child.digest}", 3000, media_type=SBOM)
    sbom = artifact(SBOM, [text], child)
    return Signed(
        index=index,
        bundle=signer.bundle(index),
        sbom=sbom,
        sbom_bundle=signer.bundle(sbom),
        signature=under_tag([signer.layer(index.digest)]),
        attestation=under_tag([signer.attestation(child.digest)]),
    )


def put(registry: ProfileRegistry, repository: str, node: Image, subject: str) -> None:
    """Attach a referrer as a client does: where there is no API, it keeps the fallback index too."""
    registry.put(repository, node)
    if registry.profile.referrers.api:
        return
    tag = subject.replace(":", "-")
    described = {"mediaType": node.media_type, "digest": node.digest, "size": len(node.manifest)}
    entry = described | {"artifactType": node.document["artifactType"]}
    entries = [each for each in fallback(registry, repository, subject) if each["digest"] != node.digest]
    put_index(registry, repository, tag, [*entries, entry])


def put_index(registry: ProfileRegistry, repository: str, tag: str, entries: list[dict[str, Any]]) -> None:
    content = json.dumps({"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": entries}).encode()
    with registry.guard:
        registry.store.put(registry.store.create(repository), Manifest(images.OCI_INDEX, content), (tag,))


def fallback(registry: ProfileRegistry, repository: str, subject: str) -> list[dict[str, Any]]:
    """Return the entries of the fallback index of a digest."""
    digest = registry.tags(repository).get(subject.replace(":", "-"))
    if digest is None:
        return []
    entries: list[dict[str, Any]] = registry.store.repositories[repository].manifests[digest].document["manifests"]
    return entries


def listed(registry: ProfileRegistry, repository: str, subject: str) -> dict[str, str]:
    """Return the referrers of a digest that a client finds, with their types: by the API, or in the fallback index."""
    if not registry.profile.referrers.api:
        return {each["digest"]: each["artifactType"] for each in fallback(registry, repository, subject)}
    return {
        digest: each.document["artifactType"]
        for digest, each in registry.store.repositories[repository].manifests.items()
        if each.document.get("subject", {}).get("digest") == subject
    }


def layers(registry: ProfileRegistry, repository: str, tag: str) -> list[str]:
    """Return the signatures under a tag of cosign: they and their payloads are there."""
    assert registry.lacks(repository, tag) == []
    document = registry.store.repositories[repository].manifests[registry.tags(repository)[tag]].document
    return [each["annotations"]["dev.cosignproject.cosign/signature"] for each in document["layers"]]


def offer(source: ProfileRegistry, repository: str, signed: Signed, tag: str = "1") -> str:
    source.put(repository, signed.index, tag)
    for subject, referrer in signed.oci.items():
        put(source, repository, referrer, subject)
    for name, node in signed.tags.items():
        source.put(repository, node, name)
    return f"{source.host}/{repository}:{tag}"


def assert_complete(scene: Scene, signed: Signed, *, but: tuple[str, ...] = ()) -> None:
    for subject, referrer in signed.oci.items():
        if subject not in but:
            found = listed(scene.registry, scene.repository, subject)
            assert found.get(referrer.digest) == referrer.document["artifactType"]
    for tag, node in signed.tags.items():
        if not any(digest.replace(":", "-") in tag for digest in but):
            assert scene.registry.tags(scene.repository)[tag] == node.digest
            assert scene.registry.lacks(scene.repository, tag) == []


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


@over(LISTS)
@pytest.mark.parametrize("scheme", ["oci", "cosign"])
def test_what_another_signer_writes_between_look_and_write_is_united_again(scene: Scene, scheme: str) -> None:
    """Rules 7.2 and 9.3: the look before the write sees it."""
    node, mine, theirs = scene.index("linux/amd64"), Signer(), Signer()
    repository, tag = f"{scene.name}/src", sig_tag(node.digest, ".sig" if scheme == "cosign" else "")
    here, there = mine.bundle(node), theirs.bundle(node)

    def add(registry: ProfileRegistry, name: str, signer: Signer, bundle: Image) -> None:
        if scheme == "cosign":
            registry.put(name, under_tag([signer.layer(node.digest)]), tag)
        else:
            put(registry, name, bundle, node.digest)

    add(scene.source, repository, mine, here)
    reference = scene.offer(node)
    with ThreadPoolExecutor(1) as threads, scene.registry.gates.hold("GET", f"/manifests/{tag}$", "after") as gate:
        pushing = threads.submit(scene.push_one, reference)
        gate.wait()
        # Its list was read; the answer is held back meanwhile.
        add(scene.registry, scene.repository, theirs, there)
        gate.open()
        assert pushing.result().error is None
    if scheme == "cosign":
        assert len(layers(scene.registry, scene.repository, tag)) == 2
    else:
        assert listed(scene.registry, scene.repository, node.digest).keys() == {here.digest, there.digest}


def signed_sources(scene: Scene, node: Index, count: int) -> tuple[list[str], list[Image]]:
    """Offer an image in `count` repositories, each signed by another in both schemes; return references, bundles."""
    references, bundles = [], []
    for number in range(count):
        repository, signer = f"{scene.name}/src{number}", Signer()
        bundles.append(signer.bundle(node, f"https://example.com/{number}"))
        scene.source.put(repository, node, "1")
        put(scene.source, repository, bundles[-1], node.digest)
        scene.source.put(repository, under_tag([signer.layer(node.digest, f"{number}")]), sig_tag(node.digest))
        references.append(f"{scene.source.host}/{repository}:1")
    return references, bundles


@over(LISTS)
def test_pushes_at_the_same_time_lose_no_signature(scene: Scene) -> None:
    """Rules 7.1 and 9.3: each brings its own signature of one image, to one list of the destination."""
    node, count = scene.index("linux/amd64"), 6
    references, bundles = signed_sources(scene, node, count)
    with ThreadPoolExecutor(count) as threads:
        tags = list(threads.map(lambda pair: scene.push_one(pair[1], f"{pair[0]}"), enumerate(references)))
    assert [tag.error for tag in tags] == [None] * count
    assert listed(scene.registry, scene.repository, node.digest).keys() == {each.digest for each in bundles}
    assert len(set(layers(scene.registry, scene.repository, sig_tag(node.digest)))) == count


@over(LISTS)
def test_signers_and_pushes_at_the_same_time_lose_no_signature(scene: Scene) -> None:
    """Rules 7.2 and 9.3: four signers write to the registry itself, as fast as they can, while ten pushes bring theirs.

    No lock can keep a push from a write in the moment after its last look. So each signer looks again, as a push does.
    """
    node, pushes = scene.index("linux/amd64"), 10
    references, bundles = signed_sources(scene, node, pushes)
    scene.registry.put(scene.repository, node)
    ended, tag = threading.Event(), sig_tag(node.digest)

    def sign_until_they_end(number: int) -> Image:
        signer = Signer()
        bundle = signer.bundle(node, f"https://signer.example/{number}")
        layer = signer.layer(node.digest, f"signer {number}")
        again = True
        while again:
            again = not ended.wait(0.001)
            with scene.registry.guard:
                if bundle.digest not in listed(scene.registry, scene.repository, node.digest):
                    put(scene.registry, scene.repository, bundle, node.digest)
                held = [] if tag not in scene.registry.tags(scene.repository) else layers_of(scene, tag)
                if layer.digest not in {each.digest for each in held}:
                    scene.registry.put(scene.repository, under_tag([*held, layer]), tag)
        return bundle

    with ThreadPoolExecutor(pushes) as pushing, ThreadPoolExecutor(4) as signing:
        signers = [signing.submit(sign_until_they_end, number) for number in range(4)]
        try:
            tags = list(pushing.map(lambda pair: scene.push_one(pair[1], f"{pair[0]}"), enumerate(references)))
        finally:
            ended.set()
        bundles += [each.result() for each in signers]
    assert [each.error for each in tags] == [None] * pushes
    assert [each.referrers_left for each in tags] == [[]] * pushes
    assert listed(scene.registry, scene.repository, node.digest).keys() == {each.digest for each in bundles}
    assert len(set(layers(scene.registry, scene.repository, tag))) == pushes + 4


def layers_of(scene: Scene, tag: str) -> list[Layer]:
    """Return the signatures under a tag of cosign, for one who adds to them."""
    repository = scene.registry.store.repositories[scene.repository]
    said = repository.manifests[repository.tags[tag]].document["layers"]
    content = scene.registry.store.blobs
    return [Layer(content[each["digest"]], each["digest"], each["mediaType"], (), each["annotations"]) for each in said]


@over(LISTS)
def test_a_push_that_ended_in_between_is_completed_by_a_repeat(scene: Scene) -> None:
    """Rules 6.5 and 9.2: its signatures are there, its tag did not move; then it does, and no entry is there twice."""
    signed = sign(scene.index("linux/amd64", "linux/arm64"), Signer())
    reference = offer(scene.source, f"{scene.name}/src", signed)
    refusal = Answer(403, {"Content-Type": "application/json"}, b'{"errors": [{"code": "DENIED", "message": "no"}]}')
    scene.registry.gates.inject("PUT", "/manifests/1$", refusal)
    assert scene.push_one(reference).action == "failed"
    assert_complete(scene, signed)
    assert "1" not in scene.registry.tags(scene.repository)
    before = len(scene.registry.requests())
    assert scene.push_one(reference).action == "copied"
    assert [each.partition("manifests/")[2] for each in scene.writes(before)] == ["1"]
    assert len(fallback(scene.registry, scene.repository, signed.index.digest)) == 1


@over(tuple(profile for profile in PRODUCTS if profile.name in {"gitlab", "quay", "zot"}))
def test_undo_leaves_what_is_not_this_pushs_or_still_has_its_image(scene: Scene) -> None:
    """Rules 6.6 and 9.3: a list goes with the last tag of its image, unless another signer added to it."""
    signed = sign(scene.index("linux/amd64", "linux/arm64"), Signer())
    reference = offer(scene.source, f"{scene.name}/src", signed)
    first = scene.push(scene.request(reference, "1"))
    scene.push(scene.request(reference, "2"))
    lists = {tag for tag in scene.registry.tags(scene.repository) if tag.startswith("sha256-")}
    assert scene.client.undo(first.push_id).state == "succeeded"
    assert set(scene.registry.tags(scene.repository)) == {"2", *lists}
    again = scene.push(scene.request(reference, "1"))
    with scene.registry.guard:
        scene.registry.store.untag(scene.registry.store.repositories[scene.repository], "2")
    assert scene.client.undo(again.push_id).state == "succeeded"
    assert set(scene.registry.tags(scene.repository)) == lists


@over(tuple(profile for profile in PRODUCTS if profile.name in {"gitlab", "zot"}))
def test_undo_takes_along_the_lists_that_it_made(scene: Scene) -> None:
    """Rules 6.6 and 9.3."""
    signed = sign(scene.index("linux/amd64", "linux/arm64"), Signer())
    report = scene.push(scene.request(offer(scene.source, f"{scene.name}/src", signed), "1"))
    tag = sig_tag(signed.index.digest)
    theirs = Signer().layer(signed.index.digest)
    scene.registry.put(scene.repository, under_tag([theirs]), tag)
    assert scene.client.undo(report.push_id).state == "succeeded"
    assert set(scene.registry.tags(scene.repository)) == {tag}
