"""Indexes shaped as real ones, on two real registries: copied or merged to the letter (BEHAVIOUR sections 3 and 4)."""

import json
from typing import Any

import pytest

from tests.acceptance.conftest import World
from tests.support import fixtures, images
from tests.support.fixtures import INDEXES
from tests.support.images import Index

# Every index as the source, and as the destination of another one.
PAIRS = [(number, 1) for number in range(len(INDEXES))] + [(number, 5) for number in range(1, len(INDEXES), 4)]


def platform_of(said: dict[str, Any]) -> tuple[str, ...] | None:
    """Return what an entry is compared by, as far as the real indexes need it."""
    platform = said.get("platform", {})
    os, architecture, variant = (platform.get(key, "") for key in ("os", "architecture", "variant"))
    if not os or (os, architecture) == ("unknown", "unknown"):
        return None
    implied = {("arm64", "v8"): "", ("arm", ""): "v7"}.get((architecture, variant), variant)
    version = ".".join(platform.get("os.version", "").split(".")[:3])
    return os, architecture, implied, version


def expected(source: Index, destination: Index) -> list[dict[str, Any]] | None:
    """Return the entries of the merge, None where the source replaces all platforms."""
    mine: list[dict[str, Any]] = source.document["manifests"]
    theirs: list[dict[str, Any]] = destination.document["manifests"]
    taken = {platform_of(each) for each in mine}
    kept = [each for each in theirs if platform_of(each) and platform_of(each) not in taken]
    if not kept:
        return None
    present = {each["digest"] for each in kept}

    def stays(said: dict[str, Any]) -> bool:
        if platform_of(said):
            return said in kept
        subject = said.get("annotations", {}).get(images.REFERENCE_DIGEST)
        alone = said["digest"] not in {each["digest"] for each in mine}
        return alone and (subject is None or subject in present)

    entries = mine + [each for each in theirs if stays(each)]
    listed = sorted([each for each in entries if platform_of(each)], key=lambda each: platform_of(each) or ())
    for each in sorted([each for each in entries if not platform_of(each)], key=lambda each: str(each["digest"])):
        subject = _subject(each)
        places = [
            number for number, other in enumerate(listed) if subject and subject in (other["digest"], _subject(other))
        ]
        listed.insert(places[-1] + 1 if places else len(listed), each)
    return listed


def _subject(said: dict[str, Any]) -> str | None:
    subject: str | None = said.get("annotations", {}).get(images.REFERENCE_DIGEST)
    return subject


@pytest.mark.parametrize(("number", "offset"), PAIRS, ids=[f"{INDEXES[number]}{offset}" for number, offset in PAIRS])
def test_indexes_shaped_as_real_ones_are_copied_or_merged_to_the_letter(world: World, number: int, offset: int) -> None:
    """Rules 3.1, 3.2, 3.3, 4.1, 4.3, 4.4, 4.5, 4.6: with their attestations, variants and unknown fields."""
    source = images.like(fixtures.load(INDEXES[number]), "source")
    old = images.like(fixtures.load(INDEXES[(number + offset) % len(INDEXES)]), "destination")
    world.put_b(old)
    reference = world.put_a(source)
    tag = world.push_one(reference)
    wanted = expected(source, old)
    if wanted is None:
        assert (tag.action, tag.new_digest, tag.kept_platforms) == ("copied", source.digest, [])
        assert world.stored.manifest(world.destination, "1") == (200, source.media_type, source.manifest)
    else:
        _, media_type, content = world.stored.manifest(world.destination, "1")
        top = {key: value for key, value in source.document.items() if key not in {"manifests", "mediaType"}}
        assert tag.action == "merged"
        assert json.loads(content) == top | {"mediaType": media_type, "manifests": wanted}
        docker = source.media_type == old.media_type == images.DOCKER_LIST and {
            each["mediaType"] for each in wanted
        } == {images.DOCKER_MANIFEST}
        assert media_type == (images.DOCKER_LIST if docker else images.OCI_INDEX)
    world.stored.holds(world.destination, "1")
    again = world.push_one(reference)
    assert (again.action, again.new_digest) == ("unchanged", tag.new_digest)
