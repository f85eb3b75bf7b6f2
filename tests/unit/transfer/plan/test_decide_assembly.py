"""Tags that are assembled from single images and from builds of some platforms (BEHAVIOUR 3.2, 4.1, 4.2, 4.6)."""

import itertools
import json

import pytest

from tasks import contract
from tasks.errors import PlatformUnknown
from tasks.oci import media_types
from tasks.oci.details import Details
from tasks.oci.digest import digest_of
from tasks.oci.index import Index
from tasks.oci.platform import Platform
from tasks.transfer.plan.decide import Current, Decision, MergePolicy, decide
from tasks.transfer.plan.image import SourceImage
from tests.unit.oci.listing import attestation, docker_list, image, index, named
from tests.unit.transfer.plan.sources import holding, holding_image, of_index, single

MERGE = MergePolicy()
AMD64, ARM64, S390X = (single(f"linux/{each}", word=each) for each in ("amd64", "arm64", "s390x"))
UNKNOWN = single(None, word="chart")


def listed(decision: Decision) -> list[str]:
    return [entry["digest"] for entry in json.loads(decision.content)["manifests"]]


def codes(decision: Decision) -> list[str]:
    return [warning.code for warning in decision.warnings]


def pushed(*images: SourceImage, onto: Current | None = None, policy: MergePolicy = MERGE) -> Decision:
    """Return the last decision of pushes, each onto what the one before left."""
    held = onto
    for each in images:
        decision = decide(each, held, policy)
        held = decision.held
    return decision


@pytest.mark.parametrize("order", list(itertools.permutations((AMD64, ARM64, S390X))))
def test_images_that_are_pushed_one_by_one_assemble_to_one_index_in_any_order(order: tuple[SourceImage, ...]) -> None:
    """Rules 3.2 and 4.1: the second push makes an index of two, without a warning."""
    first, second, third = (pushed(*order[:number]) for number in (1, 2, 3))
    assert [each.action for each in (first, second, third)] == ["copied", "merged", "merged"]
    assert listed(third) == [each.digest for each in (AMD64, ARM64, S390X)]
    assert third.digest == pushed(AMD64, ARM64, S390X).digest
    assert codes(second) == codes(third) == []
    assert [entry["platform"] for entry in json.loads(third.content)["manifests"]] == [
        {"os": "linux", "architecture": each} for each in ("amd64", "arm64", "s390x")
    ]
    assert [decide(each, third.held, MERGE).action for each in order] == ["unchanged"] * 3


@pytest.mark.parametrize("docker", list(itertools.product([True, False], repeat=2)))
def test_an_index_of_two_docker_images_is_a_docker_list(docker: tuple[bool, bool]) -> None:
    """Rule 4.5."""
    one, other = (single(f"linux/{word}", docker=each, word=word) for word, each in zip("ab", docker, strict=True))
    expected = media_types.DOCKER_LIST if all(docker) else media_types.OCI_INDEX
    assert pushed(one, other).media_type == pushed(other, one).media_type == expected


def test_an_image_of_the_same_platform_is_overwritten_with_a_warning_that_names_it() -> None:
    """Rules 3.2 and 4.2: the same in other words."""
    old = single("linux/arm64/v8.0", word="old")
    decision = decide(ARM64, holding_image(old), MERGE)
    assert (decision.action, decision.content) == ("copied", ARM64.content)
    (warning,) = decision.warnings
    assert warning.code == "manifest_overwritten"
    assert warning.message == f"A single manifest, {old.digest}, is overwritten."


def test_an_index_is_merged_with_an_image_of_a_platform_that_it_lacks() -> None:
    """Rule 3.2."""
    source = of_index(docker_list(image("amd64", "linux/amd64", docker=True), annotations={"version": "2"}))
    decision = decide(source, holding_image(S390X), MERGE)
    assert (decision.action, decision.kept_platforms) == ("merged", ["linux/s390x"])
    assert listed(decision) == [named("amd64"), S390X.digest]
    assert json.loads(decision.content)["annotations"] == {"version": "2"}


def test_an_index_is_copied_over_an_image_of_a_platform_that_it_has() -> None:
    """Rules 3.1 and 3.2."""
    source = of_index(index(image("amd64", "linux/x86_64"), image("arm64", "linux/arm64")))
    decision = decide(source, holding_image(AMD64), MERGE)
    assert (decision.action, decision.content, codes(decision)) == ("copied", source.content, ["manifest_overwritten"])


@pytest.mark.parametrize("kind", ["source", "single-arch"])
def test_an_image_that_may_not_be_merged_overwrites_without_a_word(kind: contract.Kind) -> None:
    """Rules 2.2 and 3.2: the item says so."""
    policy = MERGE if kind == "source" else MergePolicy(single_arch="copy")
    decision = decide(single("linux/arm", kind=kind), holding_image(AMD64), policy)
    assert (decision.action, decision.warnings) == ("copied", ())


@pytest.mark.parametrize(("source", "held"), [(UNKNOWN, AMD64), (AMD64, UNKNOWN), (UNKNOWN, single(None, word="old"))])
def test_where_a_platform_is_not_known_an_image_is_overwritten_with_a_warning(
    source: SourceImage, held: SourceImage
) -> None:
    """Rule 3.2: a chart over a chart, say."""
    decision = decide(source, holding_image(held), MERGE)
    assert (decision.action, decision.content, codes(decision)) == ("copied", source.content, ["platform_unknown"])
    assert held.digest in decision.warnings[0].message


def test_an_image_whose_platform_is_not_known_never_overwrites_an_index() -> None:
    """Rule 3.2."""
    for held in (index(image("amd64", "linux/amd64")), index(image("loose", None)), index()):
        with pytest.raises(PlatformUnknown, match=r"names no platform.*`merge` of the item to false"):
            decide(UNKNOWN, holding(held), MERGE)
        assert decide(UNKNOWN, holding(held), MergePolicy(merge=False)).action == "copied"


def test_what_an_index_says_of_an_image_is_known() -> None:
    """Rule 3.2: whoever made the index knew."""
    mine = image("x", "linux/arm/v6") | {"digest": UNKNOWN.digest, "size": len(UNKNOWN.content)}
    assert decide(UNKNOWN, holding(index(image("amd64", "linux/amd64"), mine)), MERGE).action == "unchanged"
    source = of_index(index(image("amd64", "linux/amd64"), mine))
    decision = decide(source, holding_image(UNKNOWN), MERGE)
    assert (decision.action, codes(decision)) == ("copied", ["manifest_overwritten"])


def test_entries_without_platform_count_by_what_lies_behind_them() -> None:
    """Rule 4.2: at B, where the other one would be lost, and at A, where the old one would stay."""
    bare = index(image("old amd64", None), image("arm64", None))
    behind = {"old amd64": Details(Platform("linux", "amd64")), "arm64": Details(Platform("linux", "arm64"))}
    source = of_index(index(image("amd64", "linux/amd64")))
    decision = decide(source, holding(bare, **behind), MERGE)
    assert (decision.action, decision.kept_platforms) == ("merged", ["linux/arm64"])
    assert listed(decision) == [named("amd64"), named("arm64")]
    assert "platform" not in json.loads(decision.content)["manifests"][1]
    held = holding(index(image("a", "linux/amd64"), image("b", "linux/arm64")))
    assert decide(of_index(bare, **behind), held, MERGE).action == "copied"
    held = holding(index(image("a", "linux/amd64"), image("b", "linux/s390x")))
    both = decide(of_index(bare, **behind), held, MERGE)
    assert listed(both) == [named("old amd64"), named("arm64"), named("b")]
    # What is known goes along, so that the next image of the push is decided on alike.
    assert decide(of_index(index(image("new", "linux/arm64"))), both.held, MERGE).kept_platforms == [
        "linux/amd64",
        "linux/s390x",
    ]


def test_an_image_at_the_destination_whose_platform_nobody_knows_is_kept() -> None:
    """Rule 3.2: it may be the only one of its platform."""
    held = holding(index(image("amd64", "linux/amd64"), image("odd", None)), odd=Details(platform_unknown=True))
    decision = decide(of_index(index(image("new", "linux/amd64"))), held, MERGE)
    assert (decision.action, listed(decision)) == ("merged", [named("new"), named("odd")])


def reordered(held: Index) -> Index:
    turned = held.containing(reversed(held.entries), held.media_type)
    return Index(turned.media_type, turned.entries, turned.fields | {"annotations": b'{"by": "another tool"}'})


def test_a_tag_that_has_exactly_the_source_s_entries_is_unchanged_whatever_their_order() -> None:
    """Rule 4.6: and whatever top-level annotations say, however it is written."""
    source = of_index(index(image("amd64", "linux/amd64"), attestation("att", "amd64"), annotations={"version": "2"}))
    whole = index(image("s390x", "linux/s390x"), attestation("att", "amd64"), image("amd64", "linux/amd64"))
    for held in (whole, reordered(whole)):
        for content in (held.encode(), json.dumps(json.loads(held.encode()), indent=3, sort_keys=True).encode()):
            decision = decide(source, Current(digest_of(content), held.media_type, content), MERGE)
            assert (decision.action, decision.content) == ("unchanged", content)
            assert decision.kept_platforms == ["linux/s390x"]


@pytest.mark.parametrize(
    "entries",
    [
        [image("old", "linux/amd64"), attestation("att", "amd64")],
        [image("amd64", "linux/amd64")],
        [image("amd64", "linux/amd64", annotations={"a": "1"}), attestation("att", "amd64")],
        [image("amd64", "linux/amd64"), image("zstd", "linux/amd64"), attestation("att", "amd64")],
        [image("amd64", "linux/amd64"), attestation("att", "amd64"), attestation("more", "amd64")],
    ],
)
def test_a_tag_that_has_more_less_or_other_entries_of_the_source_s_platforms_is_merged(
    entries: list[dict[str, object]],
) -> None:
    """Rule 4.6."""
    source = of_index(index(image("amd64", "linux/amd64"), attestation("att", "amd64")))
    decision = decide(source, holding(index(image("s390x", "linux/s390x"), *entries)), MERGE)
    assert (decision.action, listed(decision)) == ("merged", [named(word) for word in ("amd64", "att", "s390x")])


def test_where_the_tag_holds_no_other_platform_it_gets_the_digest_of_the_source() -> None:
    """Rules 3.1 and 4.6."""
    entries = [image("amd64", "linux/amd64"), image("arm64", "linux/arm64")]
    source, held = of_index(index(*entries)), holding(index(*reversed(entries)))
    decision = decide(source, held, MERGE)
    assert (decision.action, decision.digest) == ("copied", source.digest)
