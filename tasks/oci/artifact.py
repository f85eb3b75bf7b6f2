"""Make the manifest of an artifact that refers to an image (image-spec 1.1, "Guidelines for Artifact Usage"). Pure."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tasks.oci import media_types
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import digest_of

# "Guidance for an Empty Descriptor": the configuration of an artifact that has none.
EMPTY: Final = b"{}"
EMPTY_CONFIG: Final = Descriptor("application/vnd.oci.empty.v1+json", digest_of(EMPTY), len(EMPTY))


def artifact_of(content: bytes, artifact_type: str, subject: Descriptor, annotations: Mapping[str, str]) -> bytes:
    """Return the manifest of an artifact of one layer, whose media type is that of the artifact."""
    return msgspec.json.encode(
        {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": _described(EMPTY_CONFIG),
            "layers": [_described(layer_of(content, artifact_type))],
            "subject": _described(subject),
            "annotations": annotations,
        }
    )


def layer_of(content: bytes, media_type: str) -> Descriptor:
    """Return the descriptor of a blob."""
    return Descriptor(media_type, digest_of(content), len(content))


def _described(each: Descriptor) -> dict[str, Any]:
    return {"mediaType": each.media_type, "digest": each.digest, "size": each.size}
