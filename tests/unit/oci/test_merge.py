"""The rules of a merge, one by one (BEHAVIOUR section 4)."""

import json

import pytest

from tasks.oci import media_types
from tasks.oci.merge import MergeRules, kept, kept_platforms, merge, select
from tasks.oci.platform import Platform
from tests.unit.oci.listing import attestation, digests, docker_list, image, index, named


def test_source_entries_come_first_and_the_rest_keeps_its_order() -> None:
    """Rule 4.1: source order, then destination order."""
    source = index(image("s390x", "linux/s390x"), image("amd64", "linux/amd64"))
    destination = index(image("ppc", "linux/ppc64le"), image("old", "linux/amd64"), image("arm", "linux/arm64"))
    assert digests(merge(source, destination)) == [named(word) for word in ("s390x", "amd64", "ppc", "arm")]


def test_source_replaces_all_that_the_destination_has_for_a_platform() -> None:
    """Rule 4.1: source wins, over several entries too."""
    source = index(image("new", "linux/amd64"))
    destination = index(image("gzip", "linux/amd64"), image("arm", "linux/arm64"), image("zstd", "linux/amd64"))
    assert digests(merge(source, destination)) == [named("new"), named("arm")]


def test_several_source_entries_of_a_platform_stay() -> None:
    """Rule 4.1: gzip and zstd, say."""
    source = index(image("gzip", "linux/amd64"), image("zstd", "linux/amd64"))
    destination = index(image("old", "linux/amd64"), image("arm", "linux/arm64"))
    assert digests(merge(source, destination)) == [named("gzip"), named("zstd"), named("arm")]


def test_several_destination_entries_of_a_platform_that_the_source_lacks_stay() -> None:
    """Rule 4.1: what the source lacks stays, all of it."""
    destination = index(image("gzip", "linux/amd64"), image("zstd", "linux/amd64"))
    assert digests(merge(index(image("arm", "linux/arm64")), destination)) == [
        named("arm"),
        named("gzip"),
        named("zstd"),
    ]


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
    merged = merge(index(image("source", ours)), index(image("destination", theirs)))
    assert digests(merged) == [named("source"), named("destination")]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64", "linux/aarch64"),
        ("linux/arm/v7", "linux/arm"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/amd64", "linux/x86_64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("windows/amd64:10.0.17763.1", "windows/amd64:10.0.17763.5329"),
        ("windows/amd64:10.0.17763", "windows/amd64:10.0.17763.5329"),
    ],
)
def test_platforms_that_are_the_same_in_other_words_are_replaced(theirs: str, ours: str) -> None:
    """Rule 4.2: normalised for the comparison; a patched Windows image replaces its predecessor."""
    merged = merge(index(image("source", ours)), index(image("destination", theirs), image("s390x", "linux/s390x")))
    assert digests(merged) == [named("source"), named("s390x")]


def test_features_of_the_operating_system_are_part_of_a_platform() -> None:
    """Rule 4.2: os.features count, in any order."""
    features = {"os": "windows", "architecture": "amd64", "os.features": ["win32k", "net"]}
    turned = features | {"os.features": ["net", "win32k"]}
    plain = image("plain", "windows/amd64")
    assert len(merge(index(plain), index(image("featured", None, platform=features))).entries) == 2
    merged = merge(index(image("new", None, platform=turned), plain), index(image("old", None, platform=features)))
    assert digests(merged) == [named("new"), named("plain")]


def test_a_setting_makes_windows_versions_exact() -> None:
    """Rule 4.2: with the setting, another patch level is another platform."""
    source, destination = (index(image(word, f"windows/amd64:10.0.17763.{word}")) for word in ("5329", "1"))
    assert digests(merge(source, destination, MergeRules(exact_os_version=True))) == [named("5329"), named("1")]
    assert digests(merge(source, destination)) == [named("5329")]


def test_the_words_of_both_authors_are_written() -> None:
    """Rule 4.2: the normal form is for the comparison only."""
    merged = merge(index(image("a", "linux/x86_64")), index(image("b", "linux/arm64/v8")))
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
    assert digests(merge(source, destination)) == [
        named(word) for word in ("amd64", "att amd64", "att arm", "arm", "signature of att arm")
    ]


def test_an_attestation_without_a_platform_field_counts_as_one() -> None:
    """Rule 4.3: an entry without platform goes with its subject."""
    bare = {key: value for key, value in attestation("att", "old").items() if key != "platform"}
    destination = index(image("old", "linux/amd64"), image("arm", "linux/arm64"), bare)
    assert digests(merge(index(image("new", "linux/amd64")), destination)) == [named("new"), named("arm")]


def test_an_attestation_of_nothing_is_dropped() -> None:
    """Rule 4.3: no attestation without its subject, whoever listed it."""
    source = index(image("amd64", "linux/amd64"), attestation("lost", "nowhere"))
    destination = index(image("arm", "linux/arm64"), attestation("lost too", "nowhere else"))
    assert digests(merge(source, destination)) == [named("amd64"), named("arm")]


def test_a_source_attestation_of_what_only_the_destination_holds_stays() -> None:
    """Rule 4.3: its subject is kept, so it is."""
    source = index(image("amd64", "linux/amd64"), attestation("att", "arm"))
    destination = index(image("arm", "linux/arm64"))
    assert digests(merge(source, destination)) == [named(word) for word in ("amd64", "att", "arm")]


def test_an_entry_with_a_platform_is_no_attestation() -> None:
    """Rule 4.3: only entries without platform refer to others; a note on an image is a note."""
    destination = index(image("arm", "linux/arm64", annotations={"vnd.docker.reference.digest": named("nowhere")}))
    assert digests(merge(index(image("amd64", "linux/amd64")), destination)) == [named("amd64"), named("arm")]


def test_an_entry_without_platform_that_is_the_destination_s_alone_is_kept_once() -> None:
    """Rule 4.3: kept by digest; what the source lists too is not doubled."""
    source = index(image("amd64", "linux/amd64"), image("shared", None))
    destination = index(image("shared", None), image("arm", "linux/arm64"), image("alone", None))
    assert digests(merge(source, destination)) == [named(word) for word in ("amd64", "shared", "arm", "alone")]


def test_an_entry_whose_manifest_refers_to_another_goes_and_stays_with_it() -> None:
    """Rule 4.3: what the manifest's own `subject` says counts as the annotation does."""
    destination = index(
        image("old", "linux/amd64"), image("arm", "linux/arm64"), image("of old", None), image("of arm", None)
    )
    rules = MergeRules(subjects={named("of old"): named("old"), named("of arm"): named("arm")})
    assert digests(merge(index(image("new", "linux/amd64")), destination, rules)) == [
        named(word) for word in ("new", "arm", "of arm")
    ]


def test_top_level_annotations_come_from_the_source() -> None:
    """Rule 4.4: and so do its other top-level fields; entries keep their own."""
    source = index(image("a", "linux/amd64"), annotations={"version": "2"}, artifactType="application/x")
    destination = index(
        image("b", "linux/arm64", annotations={"note": "kept"}, unheard=[1]), annotations={"version": "1", "old": "1"}
    )
    written = json.loads(merge(source, destination).encode())
    assert written["annotations"] == {"version": "2"}
    assert written["artifactType"] == "application/x"
    assert written["manifests"][1]["annotations"] == {"note": "kept"}
    assert written["manifests"][1]["unheard"] == [1]


@pytest.mark.parametrize(("docker_source", "docker_entry", "media_type"), [
    (True, True, media_types.DOCKER_LIST),
    (True, False, media_types.OCI_INDEX),
    (False, True, media_types.OCI_INDEX),
    (False, False, media_types.OCI_INDEX),
])  # fmt: skip
def test_media_type_follows_the_source_and_the_entries(
    docker_source: bool,
    docker_entry: bool,
    media_type: str,
) -> None:
    """Rule 4.5: docker list only if the source is one and every entry is a docker manifest."""
    list_of = docker_list if docker_source else index
    source = list_of(image("amd64", "linux/amd64", docker=True))
    merged = merge(source, docker_list(image("arm", "linux/arm64", docker=docker_entry)))
    assert merged.media_type == media_type
    assert json.loads(merged.encode())["mediaType"] == media_type


def test_a_nested_list_makes_an_oci_index() -> None:
    """Rule 4.5: every entry must be a docker manifest; a docker list within is none."""
    nested = image("nested", None) | {"mediaType": media_types.DOCKER_LIST}
    merged = merge(docker_list(image("amd64", "linux/amd64", docker=True)), docker_list(nested))
    assert merged.media_type == media_types.OCI_INDEX


def test_an_index_without_media_type_gets_one() -> None:
    """Rule 4.5: a merged index says what it is, right after its version."""
    source = index(image("amd64", "linux/amd64"))
    del source.fields["mediaType"]
    written = merge(source, index(image("arm", "linux/arm64"))).encode()
    assert written.startswith(b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",')


def test_kept_platforms_say_whether_a_merge_is_needed() -> None:
    """Rules 3.1, 3.2: loose entries alone need none; a platform that the source lacks does."""
    source = index(image("amd64", "linux/amd64"))
    loose = kept(source, index(image("old", "linux/amd64"), image("loose", None)))
    assert [entry.digest for entry in loose] == [named("loose")]
    assert kept_platforms(loose) == ()
    arm = kept(source, index(image("arm", "linux/arm64/v8"), image("loose", None)))
    assert kept_platforms(arm) == (Platform("linux", "arm64", "v8"),)


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
    merged = merge(select(source, [Platform.parse("linux/amd64")]), destination)
    assert digests(merged) == [named("amd64"), named("old arm64")]
