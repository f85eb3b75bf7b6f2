"""A source image, resolved once: all later steps work on its digest (BEHAVIOUR section 2)."""

from collections.abc import Mapping

import msgspec

from tasks import contract
from tasks.errors import PlatformMissing
from tasks.oci.descriptor import Descriptor
from tasks.oci.details import Details
from tasks.oci.digest import Digest, digest_of
from tasks.oci.index import Index
from tasks.oci.manifest import Manifest
from tasks.oci.merge import MergeRules, select
from tasks.oci.platform import Platform
from tasks.oci.reference import Reference
from tasks.oci.version import UNKNOWN_AGE, Age


class SourceImage(msgspec.Struct, frozen=True):
    """The image that goes to the destinations: `content` is the manifest of a tag that is not merged.

    `original_digest` is that of the source; it differs from `digest` if only some platforms are taken. `platform` is
    from the configuration of a single-arch image, `details` are those behind the entries of an index (the `document`
    has them, too). `manifests` are those that were read on the way, by digest. `age` is known only if a tag must go
    forward.
    """

    reference: Reference
    kind: contract.Kind
    media_type: str
    content: bytes
    digest: Digest
    original_digest: Digest
    original_content: bytes
    document: Manifest | Index
    platform: Platform | None = None
    details: Mapping[Digest, Details] = msgspec.field(default_factory=dict)
    manifests: Mapping[Digest, bytes] = msgspec.field(default_factory=dict)
    age: Age = UNKNOWN_AGE

    @property
    def descriptor(self) -> Descriptor:
        """Describe the manifest itself."""
        return Descriptor(self.media_type, self.digest, len(self.content), self.platform)


def kind_of(document: Manifest | Index, requested: contract.RequestedKind) -> contract.Kind:
    """Return the kind of an image (BEHAVIOUR 2.2)."""
    if requested == "source":
        return "source"
    return "multi-arch" if isinstance(document, Index) else "single-arch"


def take_platforms(image: SourceImage, eligible: tuple[Platform, ...], rules: MergeRules) -> SourceImage:
    """Return the image with only its eligible platforms (BEHAVIOUR 4.7); raises PlatformMissing if none is left."""
    if not eligible:
        return image
    wanted = ", ".join(map(str, eligible))
    if not isinstance(image.document, Index):
        found = image.platform
        if found is None:
            raise PlatformMissing(f"{image.reference} names no platform in its configuration; the item wants {wanted}.")
        if not any(found.matches(each, exact_os_version=rules.exact_os_version) for each in eligible):
            raise PlatformMissing(f"{image.reference} is an image for {found}, not for {wanted}.")
        return image
    index = select(image.document, eligible, rules)
    if not index.entries:
        raise PlatformMissing(f"{image.reference} has none of the platforms {wanted}.")
    if index is image.document:
        return image
    content = index.encode()
    return msgspec.structs.replace(image, document=index, content=content, digest=digest_of(content))
