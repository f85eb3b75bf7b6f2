"""What a registry serves as a manifest: told apart by its own word, the registry's, and its shape."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import IndexEmpty, ManifestAmbiguous, ManifestInvalid, SchemaUnsupported
from tasks.oci import media_types
from tasks.oci.document import media_type_of, parse_document
from tasks.oci.graph import successors
from tasks.oci.index import Index
from tasks.oci.manifest import Manifest
from tests.support import fixtures
from tests.support.strategies import json_values
from tests.unit.oci.listing import image, named, text

CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": named("config"), "size": 6}
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": named("layer"), "size": 5}
MANIFEST: dict[str, Any] = {"schemaVersion": 2, "config": CONFIG, "layers": [LAYER]}
INDEX: dict[str, Any] = {"schemaVersion": 2, "manifests": [image("x", "linux/amd64")]}


def encode(document: Any) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("document", "content_type", "expected"),
    [
        (MANIFEST, None, media_types.OCI_MANIFEST),
        (INDEX, None, media_types.OCI_INDEX),
        (MANIFEST, media_types.DOCKER_MANIFEST, media_types.DOCKER_MANIFEST),
        (INDEX, media_types.DOCKER_LIST, media_types.DOCKER_LIST),
        (INDEX, f"{media_types.DOCKER_LIST.upper()} ; charset=utf-8", media_types.DOCKER_LIST),
        (INDEX, "application/json", media_types.OCI_INDEX),
        (MANIFEST, "text/plain", media_types.OCI_MANIFEST),
        (INDEX | {"mediaType": media_types.DOCKER_LIST}, media_types.OCI_INDEX, media_types.DOCKER_LIST),
        (MANIFEST | {"mediaType": media_types.OCI_MANIFEST}, media_types.DOCKER_LIST, media_types.OCI_MANIFEST),
        ({"schemaVersion": 1, "fsLayers": []}, "application/json", media_types.DOCKER_SCHEMA1),
        ({"config": CONFIG}, "application/vnd.example", "application/vnd.example"),
        ({}, None, ""),
        ({"mediaType": "application/vnd.example"}, media_types.OCI_INDEX, "application/vnd.example"),
        (INDEX | {"mediaType": None}, media_types.DOCKER_LIST, media_types.DOCKER_LIST),
        (MANIFEST | {"mediaType": None}, None, media_types.OCI_MANIFEST),
    ],
)
def test_the_document_s_own_word_counts_then_the_registry_s_then_its_shape(
    document: dict[str, Any], content_type: str | None, expected: str
) -> None:
    """Rule 3.3: what is a docker list or an OCI index is told whatever the registry calls it."""
    assert media_type_of(encode(document), content_type) == expected


@pytest.mark.parametrize("key", ["config", "layers", "fsLayers"])
def test_a_document_that_is_both_an_index_and_an_image_is_refused(key: str) -> None:
    """Two clients would read two things in it, whatever type it says it has."""
    for media_type in (media_types.OCI_INDEX, media_types.DOCKER_MANIFEST, ""):
        both = encode(INDEX | {key: [], "mediaType": media_type})
        with pytest.raises(ManifestInvalid, match="both an index and an image"):
            media_type_of(both, media_types.OCI_INDEX)


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"1", b'"text"', b"{", b"not json", b'{"mediaType":1}',
     b"\xef\xbb\xbf{}", b'{"a":' * 100_000, b"<html></html>"],
)  # fmt: skip
def test_what_is_no_json_object_is_a_named_error(content: bytes) -> None:
    with pytest.raises(ManifestInvalid, match="is not a JSON object"):
        media_type_of(content, media_types.OCI_INDEX)


@pytest.mark.parametrize(
    ("document", "media_type"),
    [
        (MANIFEST | {"manifests": None}, media_types.OCI_MANIFEST),
        (MANIFEST | {"manifests": None, "fsLayers": None, "layers": None}, media_types.OCI_MANIFEST),
        (INDEX | {"config": None, "layers": None, "fsLayers": None}, media_types.OCI_INDEX),
    ],
)
@pytest.mark.parametrize("said", [True, False])
def test_null_in_the_place_of_another_kind_is_as_good_as_absent(
    document: dict[str, Any], media_type: str, said: bool
) -> None:
    """Rule 2.4."""
    content = encode(document | ({"mediaType": media_type} if said else {}))
    assert media_type_of(content, None) == media_type
    assert parse_document(content, media_type).media_type == media_type


def test_an_index_without_entries_is_a_named_error() -> None:
    """Rule 2.3."""
    for media_type in media_types.INDEXES:
        with pytest.raises(IndexEmpty):
            parse_document(text([], media_type), media_type)


@pytest.mark.parametrize("media_type", sorted(media_types.SCHEMA1))
def test_schema_1_is_a_named_error(media_type: str) -> None:
    """Rule 2.3."""
    with pytest.raises(SchemaUnsupported):
        parse_document(fixtures.load("28-"), media_type)


@pytest.mark.parametrize("media_type", ["", "application/json", "application/vnd.example" + "x" * 1000])
def test_a_media_type_of_neither_is_a_named_error(media_type: str) -> None:
    with pytest.raises(ManifestInvalid, match="neither that of an image nor that of an index") as refusal:
        parse_document(b"{}", media_type)
    assert len(refusal.value.message) < 300


@pytest.mark.parametrize(
    ("document", "media_type"),
    [
        (MANIFEST, media_types.OCI_INDEX),
        ({"schemaVersion": 2}, media_types.OCI_INDEX),
        (INDEX, media_types.OCI_MANIFEST),
        (INDEX | {"manifests": {}}, media_types.OCI_INDEX),
        (INDEX | {"manifests": ["x"]}, media_types.OCI_INDEX),
        (INDEX | {"manifests": [{"digest": named("x"), "size": "1"}]}, media_types.OCI_INDEX),
        (INDEX | {"manifests": [{"digest": "sha256:x", "size": 1}]}, media_types.OCI_INDEX),
        (INDEX | {"manifests": [{"digest": "../../x", "size": 1}]}, media_types.OCI_INDEX),
        (MANIFEST | {"layers": {}}, media_types.OCI_MANIFEST),
        (MANIFEST | {"layers": [None]}, media_types.OCI_MANIFEST),
        (MANIFEST | {"config": []}, media_types.OCI_MANIFEST),
        (MANIFEST | {"config": {"digest": "none"}}, media_types.DOCKER_MANIFEST),
    ],
)
def test_what_the_specification_does_not_describe_is_a_named_error(document: dict[str, Any], media_type: str) -> None:
    with pytest.raises(ManifestInvalid, match="is not valid"):
        parse_document(encode(document), media_type)


def test_a_child_that_is_nested_without_end_is_a_named_error() -> None:
    deep = b'{"manifests":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"
    with pytest.raises(ManifestInvalid):
        parse_document(deep, media_types.OCI_INDEX)


@pytest.mark.parametrize(
    "fields",
    [
        {"platform": None, "annotations": None, "urls": None},
        {"mediaType": None},
        {"size": None},
        {"size": -1},
        {"annotations": {"org.example.note": None, "vnd.docker.reference.digest": None}},
        {"platform": {"os": None, "architecture": None, "variant": None, "os.version": None, "os.features": None}},
        {"platform": {"os": "linux", "architecture": "arm64", "variant": None, "os.features": [None]}},
        {"urls": [None]},
        {"platform": "linux/amd64", "annotations": ["a"], "urls": "x"},
        {"platform": {"os": 7, "architecture": "arm64"}, "annotations": {"vnd.docker.reference.digest": 7}},
        {"mediaType": "application/vnd.never.heard.of+json"},
        {"unheard": None},
    ],
)
def test_in_an_entry_null_is_as_good_as_absent(fields: dict[str, Any]) -> None:
    """Rule 2.4: what is only copied is judged by no more than copying needs."""
    entry = image("x", None) | fields
    absent = {key: value for key, value in entry.items() if value is not None}
    for said in (entry, absent):
        parsed = parse_document(encode(INDEX | {"manifests": [said]}), media_types.OCI_INDEX)
        assert isinstance(parsed, Index)
        (read,) = parsed.entries
        assert (read.digest, read.subject) == (named("x"), None)
        assert read.fits(527) is (said.get("size") in {None, -1})
        assert parsed.containing(parsed.entries, parsed.media_type).encode().count(named("x").encode()) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"layers": None},
        {"layers": []},
        {"subject": None},
        {"subject": "x"},
        {"subject": {"digest": "none"}},
        {"annotations": None},
        {"annotations": {"a": None}},
        {"annotations": {"a": 1}},
        {"artifactType": None},
        {"schemaVersion": None},
        {"config": {"digest": named("config"), "size": 6}},
        {"config": CONFIG | {"mediaType": None, "annotations": {"a": None}}},
        {"config": CONFIG | {"mediaType": "application/vnd.never.heard.of+json"}},
        {"layers": [LAYER | {"mediaType": None, "urls": None}]},
        {"config": CONFIG | {"urls": "x", "platform": [], "annotations": 7}},
        {"layers": [LAYER | {"size": None}]},
        {"layers": [LAYER | {"size": -1}]},
    ],
)
def test_in_a_manifest_only_the_digests_of_its_parts_are_needed(fields: dict[str, Any]) -> None:
    """Rule 2.4."""
    said = MANIFEST | fields
    for document in (said, {key: value for key, value in said.items() if value is not None}):
        manifest = parse_document(encode(document), media_types.OCI_MANIFEST)
        assert isinstance(manifest, Manifest)
        assert manifest.config is not None
        assert manifest.config.digest == named("config")
        assert [layer.digest for layer in manifest.layers] == ([named("layer")] if document.get("layers") else [])
        assert manifest.subject is None


@pytest.mark.parametrize("media_type", sorted(media_types.IMAGES))
@pytest.mark.parametrize("config", [None, {}, {"digest": None, "size": 6}, {"digest": ""}, "absent"])
def test_a_configuration_without_digest_is_nothing_to_copy(config: Any, media_type: str) -> None:
    """Rule 2.4."""
    document = {key: value for key, value in (MANIFEST | {"config": config}).items() if value != "absent"}
    manifest = parse_document(encode(document), media_type)
    assert isinstance(manifest, Manifest)
    assert manifest.config is None
    assert [blob.digest for blob in successors(manifest).blobs] == [named("layer")]


def test_an_index_whose_entries_are_null_has_none() -> None:
    """Rule 2.3."""
    with pytest.raises(IndexEmpty):
        parse_document(encode(INDEX | {"manifests": None}), media_types.OCI_INDEX)


@pytest.mark.parametrize("content", [b"{}x", b"{}{}", b'{"\xff":1}', b'{"mediaType":"\xff"}'])
def test_what_some_read_and_others_do_not_is_ambiguous(content: bytes) -> None:
    """Rule 2.3: its type is asked before anything else."""
    with pytest.raises(ManifestAmbiguous):
        media_type_of(content, media_types.OCI_INDEX)


@given(json_values(), st.sampled_from(sorted(media_types.INDEXES | media_types.IMAGES)))
def test_any_json_is_read_or_refused_by_name(value: Any, media_type: str) -> None:
    """Rule 2.3: never a traceback."""
    for document in (
        value,
        {"mediaType": media_type, "manifests": value},
        MANIFEST | {"config": value, "layers": [value]},
    ):
        content = encode(document)
        try:
            parsed = parse_document(content, media_type_of(content, media_type))
        except (ManifestInvalid, IndexEmpty, SchemaUnsupported):
            continue
        assert isinstance(parsed, Index | Manifest)


@given(st.binary(max_size=60), st.integers(0, 2000))
def test_real_bytes_with_a_piece_replaced_are_read_or_refused_by_name(piece: bytes, start: int) -> None:
    """Rule 2.3: never a traceback."""
    for prefix in ("01-", "22-", "30-", "38-"):
        content = fixtures.load(prefix)
        start %= len(content)
        broken = content[:start] + piece + content[start + len(piece) :]
        try:
            parsed = parse_document(broken, media_type_of(broken, None))
            if isinstance(parsed, Index):
                parsed.containing(parsed.entries, parsed.media_type).encode()
        except (ManifestInvalid, IndexEmpty, SchemaUnsupported):
            continue
