"""Corners of a merge: chains and circles of referrers, digests listed twice, texts that a parser would tidy up."""

import json

import pytest

from tasks.errors import ManifestInvalid
from tasks.oci import media_types
from tasks.oci.details import Details
from tasks.oci.index import Index, parse_index
from tasks.oci.merge import DEFAULT_RULES, MergeRules, merge, select
from tasks.oci.platform import Platform
from tests.unit.oci.listing import attestation, detailed, digests, image, index, named, text


def merged_of(source: Index, destination: Index, rules: MergeRules = DEFAULT_RULES) -> Index:
    return merge(source, destination, rules).index


def words(*listed: str) -> list[str]:
    return [named(word) for word in listed]


def test_what_the_destination_says_of_an_image_that_the_source_has_goes() -> None:
    """Rules 4.1 and 4.3: the source replaces all that is there for a platform, attestations of the same image too.

    Otherwise it would depend on some other platform whether they survive: without one the source is copied (3.1).
    """
    source = index(image("amd64", "linux/amd64"))
    destination = index(image("amd64", "linux/amd64"), attestation("att", "amd64"), image("arm", "linux/arm64"))
    assert digests(merged_of(source, destination)) == words("amd64", "arm")


def test_a_chain_of_referrers_goes_and_stays_as_a_whole_in_any_order() -> None:
    """Rule 4.3."""
    for base, expected in (("old", []), ("arm", ["arm", "one", "two", "three"])):
        destination = index(
            attestation("three", "two"),
            attestation("two", "one"),
            attestation("one", base),
            image("old", "linux/amd64"),
            image("arm", "linux/arm64"),
        )
        merged = merged_of(index(image("new", "linux/amd64")), destination)
        assert digests(merged) == words("new", *(expected or ["arm"]))


def test_a_chain_may_go_through_what_manifests_say() -> None:
    """Rule 4.3: the signature of an artifact goes and stays with it, and the artifact with its image."""
    destination = index(
        image("old", "linux/amd64"),
        image("arm", "linux/arm64"),
        *(image(word, None) for word in ("of old", "of arm")),
        *(attestation(f"signature {word}", word) for word in ("of old", "of arm")),
    )
    destination = detailed(
        destination, **{"of old": Details(subject=named("old")), "of arm": Details(subject=named("arm"))}
    )
    merged = merged_of(index(image("new", "linux/amd64")), destination)
    assert digests(merged) == words("new", "arm", "of arm", "signature of arm")


def test_referrers_in_a_circle_refer_to_no_image_and_go() -> None:
    """Rule 4.3: an annotation may say anything, even that an entry refers to itself."""
    destination = index(
        attestation("a", "b"), attestation("b", "a"), attestation("self", "self"), image("arm", "linux/arm64")
    )
    source = index(image("new", "linux/amd64"), attestation("c", "d"), attestation("d", "c"))
    assert digests(merged_of(source, destination)) == words("new", "arm")


def test_a_long_chain_in_the_worst_order_takes_one_pass() -> None:
    """Rule 4.3: an index of 4 MiB has room for thousands of entries; a pass for each would take minutes."""
    chain = [attestation(str(number), str(number - 1)) for number in range(5000, 0, -1)]
    destination = index(*chain, image("0", "linux/arm64"))
    assert len(merged_of(index(image("new", "linux/amd64")), destination).entries) == 5002


def test_an_attestation_in_the_destination_of_an_image_that_stays_under_another_platform_stays() -> None:
    """Rules 4.1 and 4.3: one digest may be listed for several platforms."""
    destination = index(image("both", "linux/amd64"), image("both", "linux/arm64"), attestation("att", "both"))
    merged = merged_of(index(image("both", "linux/amd64")), destination)
    assert digests(merged) == words("both", "att", "both")
    assert [str(entry.platform) for entry in merged.entries] == ["linux/amd64", "None", "linux/arm64"]
    assert merged_of(index(image("both", "linux/amd64")), merged).encode() == merged.encode()


def test_an_unknown_platform_without_annotation_is_an_entry_without_platform() -> None:
    """Rule 4.3: kept by digest, and never taken for an attestation or for a platform of its own."""
    source = index(image("new", "linux/amd64"), image("mine", "unknown/unknown"))
    destination = index(image("theirs", "unknown/unknown"), image("mine", "unknown/unknown"), image("arm", "linux/arm"))
    assert digests(merged_of(source, destination)) == words("new", "arm") + sorted(words("mine", "theirs"))


@pytest.mark.parametrize("shown", [{}, {"os": "linux"}, {"architecture": "amd64"}, {"os": "", "architecture": ""}])
def test_half_a_platform_is_none(shown: dict[str, str]) -> None:
    """Rule 4.2: a platform has an os and an architecture."""
    half = image("half", None, platform=shown)
    assert digests(merged_of(index(image("new", "linux/amd64")), index(half, image("arm", "linux/arm")))) == words(
        "new", "arm", "half"
    )


def test_entries_that_the_destination_lists_twice_stay_as_they_are() -> None:
    """Rule 4.1: what the source lacks is not this push's business."""
    destination = index(image("arm", "linux/arm64"), image("old", "linux/amd64"), image("arm", "linux/arm64"))
    assert digests(merged_of(index(image("new", "linux/amd64")), destination)) == words("new", "arm", "arm")


def test_what_manifests_at_the_destination_say_is_not_held_against_the_source() -> None:
    """Rules 4.1 and 4.6: both list one artifact; that its image at the destination is replaced must not flip it."""
    behind = {"artifact": Details(subject=named("old"))}
    source = index(image("new", "linux/amd64"), image("artifact", None), attestation("signature", "artifact"))
    destination = index(image("old", "linux/amd64"), image("artifact", None), image("arm", "linux/arm64"))
    source, destination = detailed(source, **behind), detailed(destination, **behind)
    merged = merged_of(source, destination)
    assert digests(merged) == words("new", "arm", "artifact", "signature")
    assert merged_of(source, detailed(merged, **behind)).encode() == merged.encode()


def test_what_refers_to_an_artifact_that_both_list_stays() -> None:
    """Rule 4.3: its subject is there; listed by the source, it is not listed twice."""
    source = index(image("new", "linux/amd64"), image("shared", None))
    destination = index(image("shared", None), attestation("signature", "shared"), image("arm", "linux/arm64"))
    merged = merged_of(source, destination)
    assert digests(merged) == words("new", "arm", "shared", "signature")
    assert merged_of(source, merged).encode() == merged.encode()


def test_of_an_attestation_that_both_list_only_the_source_s_word_counts() -> None:
    """Rules 4.1, 4.3 and 4.6: whatever the destination says of it, a repeated merge finds the same."""
    source = index(image("new", "linux/amd64"), attestation("att", "new"), attestation("lost", "nowhere"))
    destination = index(
        image("arm", "linux/arm64"),
        attestation("att", "arm"),
        attestation("signature", "att"),
        attestation("lost", "arm"),
        attestation("signature of lost", "lost"),
    )
    merged = merged_of(source, destination)
    assert digests(merged) == words("new", "att", "arm")
    assert merged_of(source, merged).encode() == merged.encode()


def test_an_image_with_a_note_of_another_is_an_image_in_the_source_too() -> None:
    """Rules 4.1, 4.3 and 4.7: only entries without platform refer to others."""
    noted = image("noted", "linux/amd64", annotations={"vnd.docker.reference.digest": named("nowhere")})
    source = index(noted, image("arm64", "linux/arm64"))
    assert digests(merged_of(source, index(image("arm", "linux/arm")))) == words("noted", "arm", "arm64")
    assert digests(select(source, [Platform.parse("linux/amd64")])) == words("noted")
    assert digests(select(source, [Platform.parse("linux/arm64")])) == words("arm64")


def test_an_annotation_that_is_no_digest_refers_to_nothing_that_is_there() -> None:
    """Rule 4.3: in a merge such an entry goes; it is no reason to refuse the whole index."""
    odd = image("odd", "unknown/unknown", annotations={"vnd.docker.reference.digest": "sha256:short"})
    parsed = index(image("new", "linux/amd64"), odd)
    assert digests(parsed) == words("new", "odd")
    assert digests(merged_of(parsed, index(image("arm", "linux/arm64")))) == words("new", "arm")
    empty = image("empty", "unknown/unknown", annotations={"vnd.docker.reference.digest": ""})
    assert digests(merged_of(index(empty), index(image("arm", "linux/arm64")))) == words("arm", "empty")


def test_members_that_no_specification_defines_survive_even_twice() -> None:
    """Rule 4.4: to the letter."""
    doubled = (
        f'{{"digest":"{named("x")}","size":1,"odd":{{"a":1,"a":2}},"platform":{{"os":"linux","architecture":"arm64"}}}}'
    )
    destination = parse_index(f'{{"manifests":[{doubled}]}}'.encode(), media_types.OCI_INDEX)
    assert doubled.encode() in merged_of(index(image("new", "linux/amd64")), destination).encode()


def test_the_members_of_a_platform_that_are_not_compared_survive() -> None:
    """Rule 4.4: docker's `features`, and what was never heard of, in their order."""
    shown = {"features": ["sse4"], "os": "linux", "unheard": {"of": 1}, "architecture": "arm64", "os.features": []}
    merged = merged_of(index(image("new", "linux/amd64")), index(image("arm", None, platform=shown)))
    assert json.dumps(shown, separators=(",", ":")).encode() in merged.encode()


def test_the_source_s_top_level_fields_keep_their_order_behind_what_the_index_is() -> None:
    """Rules 4.4 and 4.6."""
    source = parse_index(
        rb'{"zeta":1,"annotations":{"a\u00e9":"\/"},"manifests":[],"mediaType":"x","schemaVersion":2,"subject":null}',
        media_types.OCI_INDEX,
    )
    start, end = merged_of(source, index(image("arm", "linux/arm64"))).encode().split(b"[", 1)
    assert start == (
        rb'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","zeta":1,'
        rb'"annotations":{"a\u00e9":"\/"},"manifests":'
    )
    assert end.endswith(b'],"subject":null}')


def test_nesting_too_deep_to_write_is_a_named_error() -> None:
    """How deep a text may be depends on where it is read: what was read in one place may be too deep in another."""
    deep = Index(media_types.OCI_INDEX, (), {"manifests": b"[]", "odd": b"[" * 100_000 + b"]" * 100_000})
    with pytest.raises(ManifestInvalid, match="nested too deeply"):
        deep.encode()


def test_several_platforms_may_be_eligible_by_what_they_have_in_common() -> None:
    """Rule 4.7: without an os.version any will do; of one the first three parts count, or all where they are exact."""
    source = index(*(image(version, f"windows/amd64:{version}") for version in ("10.0.17763.1", "10.0.20348.9")))

    def chosen(wanted: str, *, exact: bool = False) -> list[str]:
        return digests(select(source, [Platform.parse(wanted)], MergeRules(exact)))

    assert select(source, [Platform.parse("windows/amd64")]) is source
    assert chosen("windows/amd64:10.0.17763.5329") == words("10.0.17763.1")
    assert chosen("windows(10.0.20348)/amd64") == words("10.0.20348.9")
    assert chosen("windows/amd64:10.0.17763.5329", exact=True) == []
    assert chosen("windows/amd64:10.0.17763.1", exact=True) == words("10.0.17763.1")


def test_a_chosen_image_brings_all_that_refers_to_it() -> None:
    """Rule 4.7."""
    source = index(
        image("amd64", "linux/amd64"),
        attestation("signature", "att"),
        attestation("att", "amd64"),
        attestation("other", "arm"),
        image("arm", "linux/arm"),
    )
    assert digests(select(source, [Platform.parse("linux/x86_64")])) == words("amd64", "signature", "att")


def test_what_is_kept_of_an_index_without_any_platform_is_its_loose_entries() -> None:
    """Rule 4.3."""
    source = parse_index(text([]), media_types.OCI_INDEX)
    merged = merge(source, index(image("a", None), image("b", None)))
    assert [entry.digest for entry in merged.kept] == sorted(words("a", "b"))
