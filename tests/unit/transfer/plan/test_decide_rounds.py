"""Builds that push their platforms into one tag, in any order, again and again (BEHAVIOUR 4.1 and 4.6)."""

import itertools
import random
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.oci import media_types
from tasks.oci.document import media_type_of, parse_document
from tasks.oci.index import Index, index_of
from tasks.oci.merge import DEFAULT_RULES, merge, select
from tasks.transfer.plan.decide import Current, Decision, MergePolicy, decide
from tasks.transfer.plan.image import SourceImage
from tests.support import fixtures
from tests.support.fixtures import INDEXES
from tests.unit.oci.listing import attestation, docker_list, image, index
from tests.unit.transfer.plan.sources import of_index, single

MERGE = MergePolicy()
PLATFORMS = (
    "linux/amd64", "linux/amd64/v3", "linux/arm/v6", "linux/arm", "linux/aarch64", "linux/ppc64le/power8",
    "linux/riscv64", "linux/s390x", "windows/amd64:10.0.17763.1", "windows/amd64:10.0.20348.1",
)  # fmt: skip


@dataclass(frozen=True)
class Builds:
    """Builds of some platforms each, of which no two have one in common."""

    images: tuple[SourceImage, ...]

    def order(self, seed: int) -> list[SourceImage]:
        """Return them in some order."""
        return random.Random(seed).sample(self.images, len(self.images))


def push(build: SourceImage, held: Current | None) -> Decision:
    return decide(build, held, MERGE)


def push_all(builds: list[SourceImage], held: Current | None = None) -> Current:
    for build in builds:
        held = push(build, held).held
    assert held is not None
    return held


@st.composite
def builds(draw: st.DrawFn) -> Builds:
    """Draw builds: single images, lists and indexes, with attestations, two entries of a platform, loose artifacts."""
    platforms = draw(st.lists(st.sampled_from(PLATFORMS), min_size=2, max_size=6, unique=True))
    groups: list[list[str]] = [[]]
    for platform in platforms:
        another = draw(st.booleans())
        if groups[-1] and another:
            groups.append([])
        groups[-1].append(platform)
    return Builds(tuple(_build(draw, group) for group in groups))


def _build(draw: st.DrawFn, platforms: list[str]) -> SourceImage:
    """Draw a build of some platforms."""
    docker = draw(st.booleans())
    if len(platforms) == 1 and draw(st.booleans()):
        return single(platforms[0], docker=docker, word=platforms[0])
    entries: list[dict[str, Any]] = []
    for platform in platforms:
        entries.append(image(platform, platform, docker=docker))
        if draw(st.booleans()):
            entries.append(image(f"{platform} zstd", platform, docker=docker))
        if draw(st.booleans()):
            entries.append(attestation(f"{platform} att", platform))
            entries += [attestation(f"{platform} signature", f"{platform} att")] * draw(st.integers(0, 1))
    entries += [image(f"{platforms[0]} loose", None)] * draw(st.integers(0, 1))
    made = (docker_list if docker and draw(st.booleans()) else index)(*draw(st.permutations(entries)))
    return of_index(made)


@given(builds(), st.integers(), st.integers())
def test_the_digest_is_the_same_whatever_the_order_and_a_second_round_writes_nothing(
    drawn: Builds, one: int, other: int
) -> None:
    """Rules 4.1 and 4.6."""
    held = push_all(drawn.order(one))
    assert push_all(drawn.order(other)).content == held.content
    for build in drawn.order(other):
        again = push(build, held)
        if len(drawn.images) > 1:
            assert (again.action, again.held.content) == ("unchanged", held.content)


@given(builds(), st.integers())
def test_builds_that_are_merged_before_they_are_pushed_make_the_same_index(drawn: Builds, seed: int) -> None:
    """Rule 4.1: merging is associative."""
    indexes = [each.document for each in drawn.order(seed) if isinstance(each.document, Index)]
    for first, second, third in itertools.combinations(indexes, 3):
        one_by_one = merge(third, merge(second, first).index).index
        at_once = merge(merge(third, second).index, first).index
        assert at_once.encode() == one_by_one.encode()


@given(builds(), st.integers(0, 5), st.integers())
def test_a_new_build_of_one_replaces_only_its_own_and_then_is_as_quiet(drawn: Builds, number: int, seed: int) -> None:
    """Rules 4.1 and 4.6: what is rebuilt is an index or an image of the same platforms, other words."""
    old = drawn.images[number % len(drawn.images)]
    if not isinstance(old.document, Index) or len(drawn.images) == 1:
        return
    platforms = dict.fromkeys(str(entry.platform) for entry in old.document.entries if entry.platform)
    new = of_index(index(*(image(f"new {each}", each) for each in platforms)))
    held = push_all(drawn.order(seed))
    moved = push(new, held)
    assert moved.action == "merged"
    assert push(new, moved.held).action == "unchanged"
    others = [each for each in drawn.order(seed) if each is not old]
    assert [push(each, moved.held).action for each in others] == ["unchanged"] * len(others)


PARSED = {
    prefix: parse_document(fixtures.load(prefix), media_type_of(fixtures.load(prefix), None)) for prefix in INDEXES
}


def parts_of(whole: Index) -> list[SourceImage]:
    """Return one build for each platform of a real index, without its top-level annotations."""
    plain = index_of(whole.media_type, *whole.entries)
    platforms = {DEFAULT_RULES.platform(entry): entry.platform for entry in whole.entries if entry.platform}
    return [of_index(select(plain, [platform], DEFAULT_RULES)) for platform in platforms.values()]


@pytest.mark.parametrize("prefix", INDEXES)
def test_real_indexes_are_assembled_from_their_platforms_in_any_order(prefix: str) -> None:
    """Rules 4.1 and 4.6."""
    whole = PARSED[prefix]
    assert isinstance(whole, Index)
    parts = parts_of(whole)
    if len(parts) < 2:
        return
    held = push_all(parts)
    for seed in range(5):
        order = random.Random(seed).sample(parts, len(parts))
        assert push_all(order).digest == held.digest
        assert {push(each, held).action for each in order} == {"unchanged"}
    assert held.media_type == media_types.OCI_INDEX or whole.media_type == media_types.DOCKER_LIST


def test_most_real_indexes_have_several_platforms() -> None:
    assert sum(isinstance(each, Index) and len(parts_of(each)) > 1 for each in PARSED.values()) > 10
