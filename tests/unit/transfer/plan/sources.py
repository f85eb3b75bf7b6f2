"""Source images and what tags hold, in a line."""

import json
from typing import Any

import msgspec

from tasks import contract
from tasks.oci import media_types
from tasks.oci.details import Details
from tasks.oci.digest import digest_of
from tasks.oci.index import Index
from tasks.oci.manifest import Manifest, parse_manifest
from tasks.oci.platform import Platform
from tasks.oci.reference import Reference
from tasks.transfer.plan.decide import Current
from tasks.transfer.plan.image import SourceImage
from tests.unit.oci.listing import detailed, named


def of_index(index: Index, **behind: Details) -> SourceImage:
    """Return a source image that is an index; `behind` is what its entries do not say, by the words that name them."""
    image = _source(index.encode(), index.media_type, detailed(index, **behind), "multi-arch")
    return msgspec.structs.replace(image, details={named(word): details for word, details in behind.items()})


def single(
    platform: str | None, *, docker: bool = False, word: str = "single", kind: contract.Kind = "single-arch"
) -> SourceImage:
    """Return a source image that is no index; `platform` is that of its configuration."""
    media_type = media_types.DOCKER_MANIFEST if docker else media_types.OCI_MANIFEST
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": named(word), "size": 2},
        "layers": [],
    }
    content = json.dumps(document).encode()
    parsed = Platform.parse(platform) if platform else None
    return _source(content, media_type, parse_manifest(content, media_type), kind, parsed)


def holding(index: Index, **behind: Details) -> Current:
    """Return what a tag holds that is this index."""
    content = index.encode()
    details = {named(word): details for word, details in behind.items()}
    return Current(digest_of(content), index.media_type, content, details=details)


def holding_image(image: SourceImage) -> Current:
    """Return what a tag holds that is this single image."""
    return Current(image.digest, image.media_type, image.content, image.platform)


def _source(
    content: bytes, media_type: str, document: Index | Manifest, kind: contract.Kind, platform: Platform | None = None
) -> SourceImage:
    digest = digest_of(content)
    return SourceImage(
        reference=Reference("a.example", "src", None, digest),
        kind=kind,
        media_type=media_type,
        content=content,
        digest=digest,
        original_digest=digest,
        original_content=content,
        document=document,
        platform=platform,
    )
