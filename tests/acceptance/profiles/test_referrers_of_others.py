"""Lists of referrers to which several pushes and signers add, and their undo (BEHAVIOUR 9.3)."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.profiles.cases import PRODUCTS, over
from tests.acceptance.profiles.conftest import Scene
from tests.acceptance.profiles.referrers import LISTS, assert_complete, fallback, layers, listed, offer, put, sign
from tests.support.images import Image, Index, Layer
from tests.support.profiles.server import ProfileRegistry
from tests.support.scripted import Answer
from tests.support.signatures import Signer, sig_tag, under_tag


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
