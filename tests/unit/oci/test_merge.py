"""The rules of a merge, one by one (BEHAVIOUR section 4)."""

import json

import pytest

from tasks.oci import media_types
from tasks.oci.details import Details
from tasks.oci.index import Index
from tasks.oci.merge import DEFAULT_RULES, MergeRules, merge, select
from tasks.oci.platform import Platform
from tests.unit.oci.listing import attestation, detailed, digests, docker_list, image, index, named


def merged_of(source: Index, destination: Index, rules: MergeRules = DEFAULT_RULES) -> Index:
    return merge(source, destination, rules).index


def test_images_are_in_the_order_of_their_platforms_whoever_brought_them() -> None:
    """Rule 4.1: os, architecture, variant, os.version, each in its normal form."""
    words = ("386", "x86_64", "amd64/v2", "arm/v6", "armhf", "aarch64", "ppc64le", "s390x")
    images = [image(word, f"linux/{word}") for word in words]
    images += [image(version, f"windows/amd64:{version}") for version in ("10.0.17763.1", "10.0.20348.1")]
    expected = [named(word) for word in (*words, "10.0.17763.1", "10.0.20348.1")]
    for start in range(len(images)):
        turned = images[start:] + images[:start]
        assert digests(merged_of(index(*turned[:5]), index(*turned[5:]))) == expected
        assert digests(merged_of(index(*turned[5:]), index(*reversed(turned[:5])))) == expected


def test_each_image_is_followed_by_what_refers_to_it_and_the_rest_is_last() -> None:
    """Rule 4.1: depth first; referrers of one image, and entries without platform, by digest."""
    source = index(
        image("loose", None), attestation("signature", "att"), attestation("att", "arm"), image("arm", "linux/arm")
    )
    destination = index(attestation("note", "other"), image("other", None), image("amd64", "linux/amd64"))
    first, second = sorted((["loose"], ["other", "note"]), key=lambda words: named(words[0]))
    assert digests(merged_of(source, destination)) == [
        named(word) for word in ("amd64", "arm", "att", "signature", *first, *second)
    ]


def test_source_replaces_all_that_the_destination_has_for_a_platform() -> None:
    """Rule 4.1: source wins, over several entries too."""
    source = index(image("new", "linux/amd64"))
    destination = index(image("gzip", "linux/amd64"), image("arm", "linux/arm64"), image("zstd", "linux/amd64"))
    assert digests(merged_of(source, destination)) == [named("new"), named("arm")]


def test_several_source_entries_of_a_platform_stay() -> None:
    """Rule 4.1: gzip and zstd, say."""
    source = index(image("gzip", "linux/amd64"), image("zstd", "linux/amd64"))
    destination = index(image("old", "linux/amd64"), image("arm", "linux/arm64"))
    assert digests(merged_of(source, destination)) == [named("gzip"), named("zstd"), named("arm")]


def test_several_destination_entries_of_a_platform_that_the_source_lacks_stay() -> None:
    """Rule 4.1: what the source lacks stays, all of it."""
    destination = index(image("gzip", "linux/amd64"), image("zstd", "linux/amd64"))
    merged = merged_of(index(image("arm", "linux/arm64")), destination)
    assert digests(merged) == [named("gzip"), named("zstd"), named("arm")]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("linux/amd64", "windows/amd64"),
        ("linux/arm/v6", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm"),
        ("linux/amd64/v2", "linux/amd64"),
        ("windows/amd64:10.0.17763.1", "windows/amd64:10.0.20348.1"),
        ("windows/amd64:10.0.17763.1", "windows/amd64"),
        ("linux/arm64/v9", "linux/arm64"),
    ],
)
def test_platforms_that_differ_are_both_there(theirs: str, ours: str) -> None:
    """Rule 4.2: os, architecture, variant and os.version tell platforms apart."""
    merged = merged_of(index(image("source", ours)), index(image("destination", theirs)))
    assert sorted(digests(merged)) == sorted([named("source"), named("destination")])


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64", "linux/aarch64"),
        ("linux/arm/v7", "linux/arm"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/amd64", "linux/x86_64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/arm64/v8.0", "linux/arm64/v8"),
        ("linux/arm64/9.0", "linux/arm64/v9"),
        ("linux/arm/armv7", "linux/arm"),
        ("linux/riscv64/rva20u64", "linux/riscv64"),
        ("linux/ppc64le/power8", "linux/ppc64le"),
        ("windows/amd64:10.0.17763.1", "windows/amd64:10.0.17763.5329"),
        ("windows/amd64:10.0.17763", "windows/amd64:10.0.17763.5329"),
    ],
)
def test_platforms_that_are_the_same_in_other_words_are_replaced(theirs: str, ours: str) -> None:
    """Rule 4.2: normalised for the comparison; a patched Windows image replaces its predecessor."""
    merged = merged_of(index(image("source", ours)), index(image("destination", theirs), image("s390x", "linux/s390x")))
    assert sorted(digests(merged)) == sorted([named("source"), named("s390x")])


def test_features_make_a_platform_of_their_own_on_windows() -> None:
    """Rule 4.2: os.features count, in any order."""
    features = {"os": "windows", "architecture": "amd64", "os.features": ["win32k", "net"]}
    turned = features | {"os.features": ["net", "win32k"]}
    plain = image("plain", "windows/amd64")
    assert len(merged_of(index(plain), index(image("featured", None, platform=features))).entries) == 2
    merged = merged_of(index(image("new", None, platform=turned), plain), index(image("old", None, platform=features)))
    assert digests(merged) == [named("plain"), named("new")]


def test_features_make_no_platform_of_their_own_on_linux() -> None:
    """Rule 4.2: an accelerated copy goes and stays with its image."""
    fast = image(
        "fast", None, platform={"os": "linux", "architecture": "amd64", "os.features": ["nydus.remoteimage.v1"]}
    )
    slow, s390x = image("slow", "linux/amd64"), image("s390x", "linux/s390x")
    kept = merged_of(index(s390x), index(fast, slow))
    assert digests(kept) == [named(word) for word in ("fast", "slow", "s390x")]
    assert digests(merged_of(index(image("new", "linux/amd64")), kept)) == [named("new"), named("s390x")]


def test_a_setting_makes_windows_versions_exact() -> None:
    """Rule 4.2: with the setting, another patch level is another platform."""
    source, destination = (index(image(word, f"windows/amd64:10.0.17763.{word}")) for word in ("5329", "1"))
    assert digests(merged_of(source, destination, MergeRules(exact_os_version=True))) == [named("1"), named("5329")]
    assert digests(merged_of(source, destination)) == [named("5329")]


def test_the_words_of_both_authors_are_written() -> None:
    """Rule 4.2: the normal form is for the comparison only."""
    merged = merged_of(index(image("a", "linux/x86_64")), index(image("b", "linux/arm64/v8")))
    written = [entry["platform"] for entry in json.loads(merged.encode())["manifests"]]
    assert written == [
        {"os": "linux", "architecture": "x86_64"},
        {"os": "linux", "architecture": "arm64", "variant": "v8"},
    ]


def test_attestations_go_with_replaced_entries_and_stay_with_kept_ones() -> None:
    """Rule 4.3: old ones of a replaced platform go, those of a kept one stay, those of the source come."""
    source = index(image("amd64", "linux/amd64"), attestation("att amd64", "amd64"))
    destination = index(
        attestation("att arm", "arm"),
        image("old", "linux/amd64"),
        image("arm", "linux/arm64"),
        attestation("att old", "old"),
        attestation("signature of att arm", "att arm"),
        attestation("signature of att old", "att old"),
    )
    assert digests(merged_of(source, destination)) == [
        named(word) for word in ("amd64", "att amd64", "arm", "att arm", "signature of att arm")
    ]


def test_an_attestation_without_a_platform_field_counts_as_one() -> None:
    """Rule 4.3: an entry without platform goes with its subject."""
    bare = {key: value for key, value in attestation("att", "old").items() if key != "platform"}
    destination = index(image("old", "linux/amd64"), image("arm", "linux/arm64"), bare)
    assert digests(merged_of(index(image("new", "linux/amd64")), destination)) == [named("new"), named("arm")]


def test_an_attestation_of_nothing_is_dropped() -> None:
    """Rule 4.3: no attestation without its subject, whoever listed it."""
    source = index(image("amd64", "linux/amd64"), attestation("lost", "nowhere"))
    destination = index(image("arm", "linux/arm64"), attestation("lost too", "nowhere else"))
    assert digests(merged_of(source, destination)) == [named("amd64"), named("arm")]


def test_a_source_attestation_of_what_only_the_destination_holds_stays() -> None:
    """Rule 4.3: its subject is kept, so it is."""
    source = index(image("amd64", "linux/amd64"), attestation("att", "arm"))
    destination = index(image("arm", "linux/arm64"))
    assert digests(merged_of(source, destination)) == [named(word) for word in ("amd64", "arm", "att")]


def test_an_entry_with_a_platform_is_no_attestation() -> None:
    """Rule 4.3: only entries without platform refer to others; a note on an image is a note."""
    destination = index(image("arm", "linux/arm64", annotations={"vnd.docker.reference.digest": named("nowhere")}))
    assert digests(merged_of(index(image("amd64", "linux/amd64")), destination)) == [named("amd64"), named("arm")]


def test_an_entry_without_platform_that_is_the_destination_s_alone_is_kept_once() -> None:
    """Rule 4.3: kept by digest; what the source lists too is not doubled."""
    source = index(image("amd64", "linux/amd64"), image("shared", None))
    destination = index(image("shared", None), image("arm", "linux/arm64"), image("alone", None))
    loose = sorted([named("shared"), named("alone")])
    assert digests(merged_of(source, destination)) == [named("amd64"), named("arm"), *loose]


def test_an_entry_whose_manifest_refers_to_another_goes_and_stays_with_it() -> None:
    """Rule 4.3: what the manifest's own `subject` says counts as the annotation does."""
    destination = index(
        image("old", "linux/amd64"), image("arm", "linux/arm64"), image("of old", None), image("of arm", None)
    )
    destination = detailed(
        destination, **{"of old": Details(subject=named("old")), "of arm": Details(subject=named("arm"))}
    )
    assert digests(merged_of(index(image("new", "linux/amd64")), destination)) == [
        named(word) for word in ("new", "arm", "of arm")
    ]


def test_top_level_annotations_come_from_the_source() -> None:
    """Rule 4.4: and so do its other top-level fields; entries keep their own."""
    source = index(image("a", "linux/amd64"), annotations={"version": "2"}, artifactType="application/x")
    destination = index(
        image("b", "linux/arm64", annotations={"note": "kept"}, unheard=[1]), annotations={"version": "1", "old": "1"}
    )
    written = json.loads(merged_of(source, destination).encode())
    assert written["annotations"] == {"version": "2"}
    assert written["artifactType"] == "application/x"
    assert written["manifests"][1]["annotations"] == {"note": "kept"}
    assert written["manifests"][1]["unheard"] == [1]


@pytest.mark.parametrize("docker_source", [True, False])
@pytest.mark.parametrize("docker_destination", [True, False])
@pytest.mark.parametrize("docker_entry", [True, False])
def test_a_docker_list_is_made_of_docker_lists_of_docker_manifests(
    docker_source: bool, docker_destination: bool, docker_entry: bool
) -> None:
    """Rule 4.5: only if no index that takes part is an OCI index, and every entry is a docker manifest."""
    source = (docker_list if docker_source else index)(image("amd64", "linux/amd64", docker=True))
    destination = (docker_list if docker_destination else index)(image("arm", "linux/arm64", docker=docker_entry))
    merged = merged_of(source, destination)
    docker = docker_source and docker_destination and docker_entry
    assert merged.media_type == (media_types.DOCKER_LIST if docker else media_types.OCI_INDEX)
    assert json.loads(merged.encode())["mediaType"] == merged.media_type


def test_a_nested_list_makes_an_oci_index() -> None:
    """Rule 4.5: every entry must be a docker manifest; a docker list within is none."""
    nested = image("nested", None) | {"mediaType": media_types.DOCKER_LIST}
    merged = merged_of(docker_list(image("amd64", "linux/amd64", docker=True)), docker_list(nested))
    assert merged.media_type == media_types.OCI_INDEX


def test_an_index_without_media_type_gets_one() -> None:
    """Rule 4.5: a merged index says what it is, right after its version."""
    source = index(image("amd64", "linux/amd64"))
    del source.fields["mediaType"]
    written = merged_of(source, index(image("arm", "linux/arm64"))).encode()
    assert written.startswith(b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",')


def test_a_merge_says_what_it_kept_and_whether_it_is_needed() -> None:
    """Rules 3.1, 3.2: loose entries alone need no merge; a platform that the source lacks does."""
    source = index(image("amd64", "linux/amd64"))
    loose = merge(source, index(image("old", "linux/amd64"), image("loose", None)))
    assert ([entry.digest for entry in loose.kept], loose.is_needed) == ([named("loose")], False)
    arm = merge(source, index(image("loose", None), image("arm", "linux/arm64/v8")))
    assert ([entry.digest for entry in arm.kept], arm.is_needed) == ([named("arm"), named("loose")], True)


def test_an_image_of_which_nobody_knows_the_platform_is_not_lost() -> None:
    """Rule 3.2: nothing is guessed."""
    destination = detailed(index(image("odd", None)), odd=Details(platform_unknown=True))
    merged = merge(index(image("amd64", "linux/amd64")), destination)
    assert (digests(merged.index), merged.is_needed) == ([named("amd64"), named("odd")], True)


def test_eligible_platforms_are_taken_with_their_attestations() -> None:
    """Rule 4.7: only these, and what refers to them; entries without platform stay behind."""
    source = index(
        image("amd64", "linux/amd64"),
        image("arm64", "linux/arm64/v8"),
        image("arm", "linux/arm/v6"),
        attestation("att amd64", "amd64"),
        attestation("att arm64", "arm64"),
        image("loose", None),
        annotations={"version": "1"},
    )
    selected = select(source, [Platform.parse("linux/arm64"), Platform.parse("linux/arm/v6")])
    assert digests(selected) == [named(word) for word in ("arm64", "arm", "att arm64")]
    assert json.loads(selected.encode())["annotations"] == {"version": "1"}


def test_what_is_not_eligible_stays_as_the_destination_has_it() -> None:
    """Rule 4.7: the rest stays as at B."""
    source = index(image("amd64", "linux/amd64"), image("arm64", "linux/arm64"), annotations={"version": "2"})
    destination = index(image("old arm64", "linux/arm64"), image("old amd64", "linux/amd64"))
    merged = merged_of(select(source, [Platform.parse("linux/amd64")]), destination)
    assert digests(merged) == [named("amd64"), named("old arm64")]
