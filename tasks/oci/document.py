"""The documents that registries serve as manifests: image manifests and indexes, told apart by content."""

from typing import Final

import msgspec

from tasks.errors import IndexEmpty, ManifestInvalid, SchemaUnsupported
from tasks.oci import media_types
from tasks.oci.ambiguity import refuse_ambiguous_manifest
from tasks.oci.index import Index, parse_index
from tasks.oci.manifest import Manifest, parse_manifest

_NULL: Final = msgspec.Raw(b"null")

_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def media_type_of(content: bytes, content_type: str | None) -> str:
    """Return the media type of a manifest: its `mediaType` first, then the registry's header, then its shape.

    A document that is both an index and a manifest is refused (image-spec GHSA-77vh-xpmg-72qh); null is as good as
    absent. Raises ManifestInvalid, ManifestAmbiguous for a text that clients may read in more than one way;
    `parse_document` checks that further.
    """
    members, said = _read(content)
    given = {key for key, text in members.items() if text != _NULL}
    if "manifests" in given and given & {"config", "layers", "fsLayers"}:
        raise ManifestInvalid("A manifest says that it is both an index and an image.")
    media_type = said or media_types.essence(content_type)
    if media_type in media_types.INDEXES | media_types.IMAGES | media_types.SCHEMA1:
        return media_type
    if "manifests" in given:
        return media_types.OCI_INDEX
    if "fsLayers" in given:
        return media_types.DOCKER_SCHEMA1
    if members.keys() >= {"config", "layers"}:
        return media_types.OCI_MANIFEST
    return media_types.OCI_INDEX if "manifests" in members else media_type


def own_media_type(content: bytes) -> str | None:
    """Return the `mediaType` of a manifest, None if it names none; raises as `media_type_of` does."""
    return _read(content)[1] or None


def _read(content: bytes) -> tuple[dict[str, msgspec.Raw], str | None]:
    try:
        members = _members.decode(content)
        return members, msgspec.json.decode(members.get("mediaType", b"null"), type=str | None)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        refuse_ambiguous_manifest(content)
        raise ManifestInvalid(f"A manifest is not a JSON object: {error}.") from None


def parse_document(content: bytes, media_type: str) -> Manifest | Index:
    """Parse a manifest of a known media type.

    Raises SchemaUnsupported for docker schema 1, IndexEmpty for an index without entries, ManifestAmbiguous for text
    that other clients may read differently, ManifestInvalid if a field is invalid that a copy needs (BEHAVIOUR 2.4).
    """
    if media_type in media_types.SCHEMA1:
        raise SchemaUnsupported("The image has a docker schema 1 manifest.")
    refuse_ambiguous_manifest(content)
    try:
        if media_type in media_types.INDEXES:
            index = parse_index(content, media_type)
            if not index.entries:
                raise IndexEmpty("The index has no entries.")
            return index
        if media_type in media_types.IMAGES:
            return parse_manifest(content, media_type)
    except (ValueError, RecursionError) as error:
        raise ManifestInvalid(f"The manifest is not valid: {error}.") from None
    raise ManifestInvalid(f"The media type {media_type[:100]!r} is neither that of an image nor that of an index.")
