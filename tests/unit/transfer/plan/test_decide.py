"""What a tag gets: the source as it is, or a merge with what is there (BEHAVIOUR 2.2 and section 3)."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import DestinationError
from tasks.oci import media_types
from tasks.oci.digest import Digest, digest_of, parse_digest
from tasks.oci.index import Index
from tasks.oci.merge import MergeRules
from tasks.oci.reference import parse_tag
from tasks.transfer.plan.decide import (
    Current,
    Decision,
    MergePolicy,
    decide,
    may_merge,
    protective_tags,
    read_index,
    without,
)
from tasks.transfer.plan.image import SourceImage
from tests.support.strategies import json_values, tags
from tests.unit.oci.listing import attestation, docker_list, image, index, named, text
from tests.unit.transfer.plan.sources import holding, of_index, single

MERGE = MergePolicy()
SOURCE = of_index(index(image("amd64", "linux/amd64"), image("arm64", "linux/arm64")))


def digests(decision: Decision) -> list[str]:
    return [entry["digest"] for entry in json.loads(decision.content)["manifests"]]


def is_copy(decision: Decision) -> bool:
    """Tell whether the tag gets the source to the byte."""
    source = (SOURCE.digest, SOURCE.media_type, SOURCE.content)
    return decision.action == "copied" and (decision.digest, decision.media_type, decision.content) == source


def test_an_absent_tag_gets_the_source_as_it_is() -> None:
    """Rule 3.1."""
    decision = decide(SOURCE, None, MERGE)
    assert is_copy(decision)
    assert (decision.kept, decision.kept_platforms, decision.warnings) == ((), [], ())


@pytest.mark.parametrize("list_of", [index, docker_list])
def test_a_tag_all_of_whose_platforms_the_source_has_gets_the_source_as_it_is(list_of: Callable[..., Index]) -> None:
    """Rules 3.1 and 3.3: docker list and OCI index count alike; attestations and loose entries need no merge."""
    held = list_of(image("old", "linux/x86_64"), attestation("att", "old"), image("loose", None))
    decision = decide(SOURCE, holding(held), MERGE)
    assert is_copy(decision)
    assert decision.kept_platforms == []


@pytest.mark.parametrize("list_of", [index, docker_list])
def test_a_tag_with_a_platform_that_the_source_lacks_is_merged(list_of: Callable[..., Index]) -> None:
    """Rules 3.2 and 3.3."""
    held = list_of(image("s390x", "linux/s390x"), image("old", "linux/amd64"), image("loose", None))
    decision = decide(SOURCE, holding(held), MERGE)
    assert decision.action == "merged"
    assert digests(decision) == [named(word) for word in ("amd64", "arm64", "s390x", "loose")]
    assert decision.digest == digest_of(decision.content)
    assert decision.kept_platforms == ["linux/s390x"]
    assert [entry.digest for entry in decision.kept] == [named("s390x"), named("loose")]


def test_a_platform_that_is_kept_with_several_entries_is_named_once_in_the_destination_s_words() -> None:
    """Rule 6.1."""
    held = index(*(image(word, "linux/arm/v6") for word in ("gzip", "zstd")), image("aarch64", "linux/x86_64/v2"))
    assert decide(SOURCE, holding(held), MERGE).kept_platforms == ["linux/x86_64/v2", "linux/arm/v6"]


def test_a_tag_that_holds_the_source_is_unchanged() -> None:
    """Rule 4.6."""
    for policy in (MERGE, MergePolicy(merge=False)):
        decision = decide(SOURCE, Current(SOURCE.digest, SOURCE.media_type), policy)
        assert (decision.action, decision.digest) == ("unchanged", SOURCE.digest)


def test_a_tag_that_holds_the_merge_is_unchanged() -> None:
    """Rule 4.6."""
    first = decide(SOURCE, holding(index(image("s390x", "linux/s390x"))), MERGE)
    again = decide(SOURCE, Current(first.digest, first.media_type, first.content), MERGE)
    assert (again.action, again.digest, again.content) == ("unchanged", first.digest, first.content)
    assert again.kept_platforms == ["linux/s390x"]


def test_merge_off_and_source_images_overwrite_whatever_is_there() -> None:
    """Rule 2.2: a source image is copied as it is, even if it is a list."""
    held = holding(index(image("s390x", "linux/s390x")))
    assert is_copy(decide(SOURCE, held, MergePolicy(merge=False)))
    assert is_copy(decide(msgspec.structs.replace(SOURCE, kind="source"), held, MERGE))
    image_of_sources = single("linux/amd64", kind="source")
    decision = decide(image_of_sources, held, MERGE)
    assert (decision.action, decision.content, decision.warnings) == ("copied", image_of_sources.content, ())


def test_windows_versions_count_as_the_rules_say() -> None:
    """Rule 4.2."""
    source = of_index(index(image("new", "windows/amd64:10.0.17763.5329")))
    held = holding(index(image("old", "windows/amd64:10.0.17763.1")))
    assert decide(source, held, MERGE).action == "copied"
    exact = decide(source, held, MergePolicy(rules=MergeRules(exact_os_version=True)))
    assert (exact.action, exact.kept_platforms) == ("merged", ["windows/amd64:10.0.17763.1"])


@pytest.mark.parametrize("docker", [True, False])
def test_a_single_arch_image_replaces_its_platform_and_keeps_the_others_with_their_attestations(docker: bool) -> None:
    """Rules 2.2, 4.1, 4.3 and 4.4: nothing else of the index changes."""
    source = single("linux/arm", docker=docker)
    held = index(
        image("amd64", "linux/amd64", note="kept"),
        attestation("att amd64", "amd64"),
        image("old", "linux/arm/v7"),
        attestation("att old", "old"),
        image("v6", "linux/arm/v6"),
        annotations={"version": "1"},
    )
    decision = decide(source, holding(held), MERGE)
    assert decision.action == "merged"
    assert digests(decision) == [*(named(word) for word in ("amd64", "att amd64", "v6")), source.digest]
    assert decision.kept_platforms == ["linux/amd64", "linux/arm/v6"]
    written = json.loads(decision.content)
    assert written["manifests"][3] == {
        "mediaType": source.media_type,
        "digest": source.digest,
        "size": len(source.content),
        "platform": {"os": "linux", "architecture": "arm"},
    }
    assert (written["annotations"], written["manifests"][0]["note"]) == ({"version": "1"}, "kept")


@pytest.mark.parametrize("docker", [True, False])
@pytest.mark.parametrize("docker_entry", [True, False])
@pytest.mark.parametrize("docker_held", [True, False])
def test_a_docker_list_of_docker_images_stays_one_with_a_docker_image(
    docker: bool, docker_entry: bool, docker_held: bool
) -> None:
    """Rule 4.5."""
    held = (docker_list if docker_held else index)(image("a", "linux/386", docker=docker_entry))
    decision = decide(single("linux/arm", docker=docker), holding(held), MERGE)
    stays = docker and docker_entry and docker_held
    expected = media_types.DOCKER_LIST if stays else media_types.OCI_INDEX
    assert (decision.action, decision.media_type) == ("merged", expected)
    assert json.loads(decision.content)["mediaType"] == expected


def test_a_single_arch_image_is_merged_into_an_index_that_has_only_its_platform_and_into_an_empty_one() -> None:
    """Rule 2.2: the index stays an index."""
    source = single("linux/arm")
    for held in (index(image("old", "linux/arm/v7")), index()):
        decision = decide(source, holding(held), MERGE)
        assert (decision.action, digests(decision), decision.kept_platforms) == ("merged", [source.digest], [])


def test_a_single_arch_image_that_the_index_has_is_unchanged_in_the_index_s_words_and_order() -> None:
    """Rules 2.2 and 4.6."""
    source = single("linux/arm64")
    mine = image("x", "linux/arm64/v8", odd=1) | {"digest": source.digest, "size": len(source.content)}
    held = docker_list(image("amd64", "linux/amd64"), mine, attestation("att", "amd64"))
    decision = decide(source, holding(held), MERGE)
    assert (decision.action, decision.content) == ("unchanged", held.encode())
    assert decision.kept_platforms == ["linux/amd64"]
    rival = docker_list(image("old", "linux/arm64"), mine)
    merged = decide(source, holding(rival), MERGE)
    assert (merged.action, digests(merged)) == ("merged", [source.digest])
    assert json.loads(merged.content)["manifests"] == [mine]


def test_a_single_arch_image_that_the_index_lists_for_another_platform_is_unchanged() -> None:
    """Rule 2.2: whoever made the index knew better than the configuration, which may lack the variant."""
    source = single("linux/arm")
    held = index(image("v7", "linux/arm/v7"), image("x", "linux/arm/v5") | {"digest": source.digest})
    assert decide(source, holding(held), MERGE).action == "unchanged"


@pytest.mark.parametrize("source", [single(None), single("linux/arm")])
@pytest.mark.parametrize("policy", [MergePolicy(single_arch="copy"), MergePolicy(merge=False)])
def test_a_single_arch_image_that_may_not_be_merged_overwrites(source: SourceImage, policy: MergePolicy) -> None:
    """Rules 2.2 and 3.2: so does one that names no platform."""
    decision = decide(source, holding(index(image("amd64", "linux/amd64"))), policy)
    assert (decision.action, decision.content) == ("copied", source.content)


def test_what_a_tag_holds_matters_only_where_it_may_be_merged_with() -> None:
    """Rule 3.2: only then its content is read."""
    arm = single("linux/arm")
    assert may_merge(SOURCE, MERGE)
    assert may_merge(arm, MERGE)
    assert may_merge(single(None), MERGE)
    assert not may_merge(SOURCE, MergePolicy(merge=False))
    assert not may_merge(msgspec.structs.replace(SOURCE, kind="source"), MERGE)
    assert not may_merge(arm, MergePolicy(single_arch="copy"))


def test_an_index_without_entries_is_overwritten_by_an_index() -> None:
    """Rule 3.1: every platform at B, none, is also in the source."""
    for media_type in media_types.INDEXES:
        content = text([], media_type)
        assert is_copy(decide(SOURCE, Current(digest_of(content), media_type, content), MERGE))


@pytest.mark.parametrize("content", [b"{}", b"<html>", b'{"manifests":[{"digest":"x"}]}', b'{"manifests":1}'])
def test_an_index_that_cannot_be_read_is_an_error_of_the_destination(content: bytes) -> None:
    """Rule 3.2: it may hold a platform, so it is not overwritten unless the item says so."""
    held = Current(named("broken"), media_types.OCI_INDEX, content)
    with pytest.raises(
        DestinationError, match=f"{held.digest}, cannot be merged with.*Set `merge` of the item to false"
    ):
        decide(SOURCE, held, MERGE)
    assert is_copy(decide(SOURCE, held, MergePolicy(merge=False)))


def test_a_merge_that_is_nested_too_deeply_to_be_written_is_an_error_of_the_destination() -> None:
    """Rule 3.2: what was shallow enough to be read in one place may be too deep to be written in another."""
    listed = index(image("amd64", "linux/amd64"))
    listed.fields["odd"] = b"[" * 100_000 + b"]" * 100_000
    source = msgspec.structs.replace(SOURCE, document=listed)
    with pytest.raises(DestinationError, match=r"cannot be merged with: A field of an index is nested too deeply"):
        decide(source, holding(index(image("arm", "linux/arm"))), MERGE)


@given(json_values(), st.sampled_from(sorted(media_types.INDEXES)), st.booleans())
def test_whatever_a_tag_holds_is_decided_on_or_an_error_of_the_destination(
    value: Any, media_type: str, single_arch: bool
) -> None:
    """Rule 3.2: never a traceback, and never an error that blames the source."""
    image_ = single("linux/arm") if single_arch else SOURCE
    entry = image("arm", "linux/arm")
    for document in (value, {"manifests": value}, {"manifests": [value]}, {"manifests": [entry | {"odd": value}]}):
        for said in (document, {"mediaType": media_type, "manifests": [entry | {"platform": value}]}):
            held = Current(named("odd"), media_type, json.dumps(said).encode())
            try:
                decision = decide(image_, held, MERGE)
            except DestinationError:
                continue
            assert decision.digest in {image_.digest, held.digest, digest_of(decision.content)}


def test_a_manifest_that_its_registry_calls_an_index_is_an_error_of_the_destination() -> None:
    """Rule 3.2."""
    held = Current(named("x"), media_types.OCI_MANIFEST, single("linux/arm").content)
    with pytest.raises(DestinationError, match="is not the index that its registry says it is"):
        read_index(held)


def test_entries_that_the_registry_lost_are_left_out_with_what_refers_to_them() -> None:
    """Rule 4.9."""
    held = holding(
        index(image("s390x", "linux/s390x"), attestation("att", "s390x"), image("arm", "linux/arm"), image("x", None))
    )
    lost = without(held, frozenset({named("s390x"), named("x")}))
    assert lost.digest == held.digest
    decision = decide(SOURCE, lost, MERGE)
    assert digests(decision) == [named(word) for word in ("amd64", "arm", "arm64")]
    assert is_copy(decide(SOURCE, without(held, frozenset({named("s390x"), named("arm")})), MERGE))
    everything = frozenset(entry.digest for entry in read_index(held).entries)
    assert is_copy(decide(SOURCE, without(held, everything), MERGE))


def test_an_index_that_holds_a_single_arch_image_is_written_anew_where_it_lost_another() -> None:
    """Rule 4.9: never a dangling index, though the image itself is there."""
    source = single("linux/arm")
    mine = image("x", "linux/arm") | {"digest": source.digest, "size": len(source.content)}
    held = holding(index(image("lost", "linux/amd64"), mine, image("386", "linux/386")))
    decision = decide(source, without(held, frozenset({named("lost")})), MERGE)
    assert (decision.action, digests(decision)) == ("merged", [named("386"), source.digest])


@given(tags())
def test_a_protective_tag_is_valid_and_the_same_for_the_same_merge(tag: str) -> None:
    """Rule 4.8: derived from tag and digest, at most 128 characters."""
    one, other = named("one"), named("other")
    made = next(protective_tags(tag, one))
    assert parse_tag(made) == made
    assert made == next(protective_tags(tag, one)) != next(protective_tags(tag, other))
    assert made != tag
    assert made.startswith(tag[:80])


def test_a_protective_tag_can_be_told_from_others() -> None:
    """Rule 4.8."""
    digest = parse_digest(f"sha512:{'0123456789abcdef' * 8}")
    assert next(protective_tags("latest", digest)) == f"latest.merged-{'0123456789abcdef' * 2}"
    assert next(protective_tags("1.0", Digest(f"sha256:{'a' * 64}"))) == f"1.0.merged-{'a' * 32}"
    assert len(next(protective_tags("x" * 128, digest))) == 128
