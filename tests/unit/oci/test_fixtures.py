"""Real indexes and manifests, all of them: each is read as what it is, and every pair of indexes is merged."""

import itertools
import json
from collections import Counter
from collections.abc import Iterable

import pytest

from tasks.errors import SchemaUnsupported
from tasks.oci import media_types
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import digest_of
from tasks.oci.document import media_type_of, parse_document
from tasks.oci.graph import successors
from tasks.oci.index import Index, parse_index
from tasks.oci.index_equality import same_entries
from tasks.oci.manifest import Manifest
from tasks.oci.merge import merge, select
from tasks.oci.platform import Platform
from tests.support import fixtures
from tests.support.fixtures import DOCKER_LISTS, IMAGES, INDEXES, SCHEMA1
from tests.support.strategies import squeezed


def read(prefix: str) -> Index:
    content = fixtures.load(prefix)
    index = parse_document(content, media_type_of(content, None))
    assert isinstance(index, Index)
    return index


PARSED = {prefix: read(prefix) for prefix in INDEXES}


def texts(entries: Iterable[Descriptor]) -> list[str]:
    return [squeezed(entry.raw) for entry in entries]


def normal_forms(index: Index) -> Counter[Platform]:
    return Counter(entry.platform.normalized() for entry in index.entries if entry.platform)


def test_every_fixture_is_used() -> None:
    assert sorted(fixtures.ALL) == sorted(
        name for name in fixtures.ALL for prefix in (*INDEXES, *IMAGES, *SCHEMA1) if name.startswith(prefix)
    )
    assert len(fixtures.ALL) == 34


@pytest.mark.parametrize("prefix", INDEXES)
def test_an_index_is_read_entry_by_entry(prefix: str) -> None:
    index, said = PARSED[prefix], json.loads(fixtures.load(prefix))
    assert index.media_type == (media_types.DOCKER_LIST if prefix in DOCKER_LISTS else media_types.OCI_INDEX)
    assert [json.loads(entry.raw) for entry in index.entries] == said["manifests"]
    assert [entry.digest for entry in index.entries] == [entry["digest"] for entry in said["manifests"]]
    assert json.loads(index.encode()) == said
    assert index.encode().decode() == squeezed(fixtures.load(prefix))


@pytest.mark.parametrize("prefix", IMAGES)
def test_an_image_or_artifact_is_read_with_all_that_it_needs(prefix: str) -> None:
    content = fixtures.load(prefix)
    said = json.loads(content)
    manifest = parse_document(content, media_type_of(content, None))
    assert isinstance(manifest, Manifest)
    assert manifest.config is not None
    assert manifest.config.digest == said["config"]["digest"]
    assert [layer.digest for layer in manifest.layers] == [layer["digest"] for layer in said["layers"]]
    assert (manifest.subject.digest if manifest.subject else None) == said.get("subject", {}).get("digest")
    blobs = {blob.digest for blob in successors(manifest).blobs}
    assert blobs == {said["config"]["digest"], *(layer["digest"] for layer in said["layers"])}


@pytest.mark.parametrize("prefix", SCHEMA1)
def test_a_schema_1_image_is_a_named_error(prefix: str) -> None:
    """Rule 2.3."""
    content = fixtures.load(prefix)
    for content_type in (None, f"{media_types.DOCKER_SCHEMA1_SIGNED}; charset=utf-8", "application/json"):
        with pytest.raises(SchemaUnsupported):
            parse_document(content, media_type_of(content, content_type))


@pytest.mark.parametrize("prefix", INDEXES)
def test_every_pair_is_merged_to_the_same_bytes_again_and_again(prefix: str) -> None:
    """Rule 4.6: deterministic, and a repeated push finds what it would write."""
    source = PARSED[prefix]
    for destination in PARSED.values():
        merged = merge(source, destination).index
        content = merged.encode()
        read_again = parse_document(content, media_type_of(content, None))
        assert isinstance(read_again, Index)
        assert merge(source, read_again).index.encode() == content
        assert digest_of(merge(source, destination).index.encode()) == digest_of(content)


@pytest.mark.parametrize("prefix", INDEXES)
def test_every_pair_keeps_each_entry_to_the_letter(prefix: str) -> None:
    """Rules 4.1 and 4.4: the real indexes have no attestation without its subject, so all source entries stay."""
    source = PARSED[prefix]
    for destination in PARSED.values():
        outcome = merge(source, destination)
        merged = parse_index(outcome.index.encode(), media_types.OCI_INDEX)
        assert sorted(texts(merged.entries)) == sorted([*texts(source.entries), *texts(outcome.kept)])
        assert set(texts(outcome.kept)) <= set(texts(destination.entries))
        for key in source.fields.keys() - {"manifests", "mediaType", "schemaVersion"}:
            assert squeezed(merged.fields[key]) == squeezed(source.fields[key])


@pytest.mark.parametrize("prefix", INDEXES)
def test_no_platform_is_lost_or_doubled_by_a_merge(prefix: str) -> None:
    """Rule 4.1: a platform has the entries of the source, or else those of the destination, never both."""
    source = PARSED[prefix]
    mine = normal_forms(source)
    for destination in PARSED.values():
        theirs = normal_forms(destination)
        assert normal_forms(merge(source, destination).index) == mine + Counter(
            {platform: count for platform, count in theirs.items() if platform not in mine}
        )


@pytest.mark.parametrize("prefix", INDEXES)
def test_attestations_of_real_images_go_and_stay_with_them(prefix: str) -> None:
    """Rule 4.3."""
    source = PARSED[prefix]
    for destination in PARSED.values():
        outcome = merge(source, destination)
        merged = outcome.index
        present = {entry.digest for entry in merged.entries}
        assert all(entry.subject in present for entry in merged.entries if entry.subject)
        remaining = {entry.digest for entry in outcome.kept if entry.platform}
        for entry in destination.entries:
            if entry.subject is not None and entry.digest not in {mine.digest for mine in source.entries}:
                assert (entry.digest in present) == (entry.subject in remaining)


@pytest.mark.parametrize("prefix", INDEXES)
def test_every_pair_is_a_docker_list_only_of_docker_images(prefix: str) -> None:
    """Rule 4.5."""
    source = PARSED[prefix]
    for destination in PARSED.values():
        merged = merge(source, destination).index
        docker = {source.media_type, destination.media_type} == {media_types.DOCKER_LIST} and all(
            entry.media_type == media_types.DOCKER_MANIFEST for entry in merged.entries
        )
        assert merged.media_type == (media_types.DOCKER_LIST if docker else media_types.OCI_INDEX)
        assert json.loads(merged.encode())["mediaType"] == merged.media_type


def test_disjoint_pairs_have_the_same_entries_in_the_same_order_merged_either_way() -> None:
    """Rule 4.1: nothing is lost, whichever of the two is pushed last."""
    compared = 0
    for one, other in itertools.combinations(PARSED.values(), 2):
        shared = {entry.digest for entry in one.entries} & {entry.digest for entry in other.entries}
        if shared or normal_forms(one).keys() & normal_forms(other).keys():
            continue
        compared += 1
        assert texts(merge(one, other).index.entries) == texts(merge(other, one).index.entries)
    assert compared > 50


@pytest.mark.parametrize("prefix", INDEXES)
def test_an_index_that_is_split_by_platform_is_whole_again_after_a_merge(prefix: str) -> None:
    """Rules 4.1 and 4.7: two builds that push their own platforms, one after the other: the order is all the same."""
    whole = PARSED[prefix]
    platforms = [entry.platform for entry in whole.entries if entry.platform]
    parts = [select(whole, platforms[start::2]) for start in (0, 1)]
    images = [entry for entry in whole.entries if entry.platform or entry.subject]
    for first, second in (parts, reversed(parts)):
        merged = merge(second, first).index
        assert merged.encode() == merge(parts[0], parts[1]).index.encode()
        assert sorted(texts(merged.entries)) == sorted(
            text for text, count in Counter(texts(images)).items() for _ in range(count)
        )


@pytest.mark.parametrize("prefix", INDEXES)
def test_an_index_that_is_there_already_needs_no_merge(prefix: str) -> None:
    """Rule 3.1."""
    index = PARSED[prefix]
    outcome = merge(index, index)
    assert (outcome.kept, outcome.is_needed) == ((), False)
    assert sorted(texts(outcome.index.entries)) == sorted(texts(index.entries))
    assert same_entries(outcome.index, index)
