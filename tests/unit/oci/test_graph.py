"""What a manifest needs before it may be stored."""

import json
from typing import Any

import pytest

from tasks.oci import media_types
from tasks.oci.descriptor import Descriptor
from tasks.oci.document import parse_document
from tasks.oci.graph import successors
from tasks.oci.manifest import Manifest, parse_manifest, platform_of_config
from tasks.oci.platform import Platform
from tests.unit.oci.listing import attestation, image, index, named

FOREIGN = (
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
)
USUAL = "application/vnd.oci.image.layer.v1.tar+gzip"


def blob(word: str, media_type: str = USUAL, **fields: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": named(word), "size": len(word)} | fields


def manifest(*layers: dict[str, Any], **fields: Any) -> Manifest:
    document = {"schemaVersion": 2, "config": blob("config"), "layers": list(layers)} | fields
    parsed = parse_document(json.dumps(document).encode(), media_types.OCI_MANIFEST)
    assert isinstance(parsed, Manifest)
    return parsed


def words(found: tuple[Descriptor, ...], *expected: str) -> bool:
    return [each.digest for each in found] == [named(word) for word in expected]


def test_an_image_needs_its_configuration_and_each_layer_once() -> None:
    """Rule 5.1: two layers with the same content are one blob."""
    needs = successors(manifest(blob("one"), blob("two"), blob("one")))
    assert words(needs.blobs, "config", "one", "two")
    assert needs.manifests == ()


def test_an_image_without_layers_needs_its_configuration() -> None:
    assert words(successors(manifest()).blobs, "config")


def test_an_index_needs_each_entry_once_nested_ones_and_attestations_too() -> None:
    """Rules 2.3 and 5.2."""
    nested = image("nested", None) | {"mediaType": media_types.OCI_INDEX}
    parsed = index(image("a", "linux/amd64"), attestation("att", "a"), nested, image("a", "linux/amd64/v2"))
    needs = successors(parsed)
    assert words(needs.manifests, "a", "att", "nested")
    assert needs.blobs == ()


@pytest.mark.parametrize("media_type", FOREIGN)
def test_a_foreign_layer_that_lies_elsewhere_is_not_needed(media_type: str) -> None:
    """Rule 5.1: the registry should not hold it (image-spec layer.md)."""
    foreign = blob("foreign", media_type, urls=["https://example.com/layer"])
    assert words(successors(manifest(blob("one"), foreign)).blobs, "config", "one")


@pytest.mark.parametrize("media_type", FOREIGN)
def test_a_foreign_layer_without_urls_can_only_be_in_the_registry(media_type: str) -> None:
    """Rule 5.1."""
    said: list[dict[str, Any]] = [{}, {"urls": []}, {"urls": None}]
    for urls in said:
        assert words(successors(manifest(blob("foreign", media_type, **urls))).blobs, "config", "foreign")


def test_a_usual_layer_is_needed_whatever_urls_it_names() -> None:
    """Rule 5.1."""
    assert words(successors(manifest(blob("one", urls=["https://example.com/x"]))).blobs, "config", "one")


def test_a_subject_is_not_needed() -> None:
    """A registry takes a manifest whose subject it lacks (distribution-spec 1.1)."""
    needs = successors(manifest(subject=blob("subject", media_types.OCI_MANIFEST)))
    assert words(needs.blobs, "config")
    assert needs.manifests == ()


def test_an_image_is_described_as_an_entry_that_reads_as_the_same() -> None:
    """Rule 2.2."""
    for platform in (Platform("windows", "amd64", "", "10.0.17763.1", ("win32k",)), Platform("linux", "arm", "v6")):
        made = Descriptor.of_image(media_types.OCI_MANIFEST, named("x"), 17, platform)
        assert Descriptor.parse(made.raw) == made
    assert json.loads(made.raw) == {
        "mediaType": media_types.OCI_MANIFEST,
        "digest": named("x"),
        "size": 17,
        "platform": {"os": "linux", "architecture": "arm", "variant": "v6"},
    }


@pytest.mark.parametrize(
    ("config", "platform"),
    [
        ('{"os":"linux","architecture":"arm","variant":"v6","rootfs":{}}', Platform("linux", "arm", "v6")),
        (
            '{"architecture":"amd64","os":"windows","os.version":"10.0.17763.1","os.features":["win32k"]}',
            Platform("windows", "amd64", "", "10.0.17763.1", ("win32k",)),
        ),
        ('{"os":"linux"}', None),
        ('{"os":"linux","architecture":null}', None),
        ('{"os":"linux","architecture":"arm","variant":null,"os.features":[null]}', Platform("linux", "arm")),
        ("{}", None),
        ('{"os":"unknown","architecture":"unknown"}', None),
    ],
)
def test_a_configuration_names_the_platform(config: str, platform: Platform | None) -> None:
    """Rule 2.2."""
    said = platform_of_config(config.encode())
    assert (said if said.known else None) == platform


@pytest.mark.parametrize("config", [b"", b"[]", b'{"os":1}', b"\xff"])
def test_a_configuration_that_is_none_is_refused(config: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        platform_of_config(config)


def test_a_manifest_keeps_its_media_type_and_subject() -> None:
    content = json.dumps({"config": blob("c"), "layers": [], "subject": blob("s", media_types.OCI_INDEX)}).encode()
    parsed = parse_manifest(content, media_types.DOCKER_MANIFEST)
    assert parsed.media_type == media_types.DOCKER_MANIFEST
    assert parsed.subject is not None
    assert parsed.subject.digest == named("s")
