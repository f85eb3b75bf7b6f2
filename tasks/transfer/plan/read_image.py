"""Read the source image, and the manifest of a destination tag."""

import msgspec

from tasks import contract
from tasks.errors import ManifestInvalid, NotFound, SingleArchRefused, SourceChildMissing, SourceMissing
from tasks.oci import media_types
from tasks.oci.details import with_details
from tasks.oci.digest import digest_of
from tasks.oci.document import media_type_of, parse_document
from tasks.oci.index import Index
from tasks.oci.manifest import Manifest
from tasks.oci.merge import MergeRules
from tasks.oci.platform import Platform
from tasks.oci.reference import Reference
from tasks.registry.manifest_answer import FetchedManifest
from tasks.registry.repository import Repository
from tasks.transfer.plan.decide import Current, MergePolicy, may_merge, read_index, unmergeable
from tasks.transfer.plan.entry_details import (
    Behind,
    read_behind_source,
    read_behind_tag,
    read_platform,
    read_platform_of_tag,
)
from tasks.transfer.plan.image import SourceImage, kind_of, take_platforms


def read_source(
    repository: Repository,
    reference: Reference,
    *,
    kind: contract.RequestedKind,
    single_arch: contract.SingleArch,
    eligible: tuple[Platform, ...],
    rules: MergeRules,
    platform_matters: bool = False,
) -> SourceImage:
    """Resolve a source reference to the image that will be pushed; raises SourceError or RegistryError.

    Platforms that an index does not name are read from configurations (BEHAVIOUR 4.2): two requests for each entry
    without platform, one of which the copy saves again (`SourceImage.manifests`).
    """
    try:
        fetched = repository.fetch_manifest(reference.identifier)
    except NotFound:
        raise SourceMissing(f"{reference} does not exist.") from None
    document = parse_document(fetched.content, fetched.media_type)
    found = kind_of(document, kind)
    if found == "single-arch" and single_arch == "refuse":
        raise SingleArchRefused(f"{reference} is a single-arch image and not a source image.")
    platform, behind = None, Behind()
    if isinstance(document, Index) and found == "multi-arch":
        behind = read_behind_source(repository, document)
    if isinstance(document, Manifest) and (
        platform_matters or (found == "single-arch" and (single_arch == "merge" or eligible))
    ):
        platform = _platform(repository, reference, document)
    # Destinations are compared with the digest of the registry's answer, whatever the reference's own digest is.
    digest = digest_of(fetched.content)
    image = SourceImage(
        reference=reference.at(fetched.digest),
        kind=found,
        media_type=fetched.media_type,
        content=fetched.content,
        digest=digest,
        original_digest=digest,
        original_content=fetched.content,
        document=with_details(document, behind.details),
        platform=platform,
        details=behind.details,
        manifests=behind.manifests,
    )
    return take_platforms(image, eligible, rules)


def read_current(
    repository: Repository, tag: str, image: SourceImage, policy: MergePolicy, *, whole: bool = False
) -> Current | None:
    """Return the manifest of a tag, None if the tag is absent; with content only if a merge may need it, or if `whole`.

    The content is read of single manifests too: some registries report an index as one. Raises DestinationError,
    RegistryError.
    """
    described = repository.resolve(tag)
    if described is None:
        return None
    if described.digest == image.digest or not (whole or may_merge(image, policy)):
        return Current(described.digest, described.media_type)
    try:
        fetched = repository.fetch_manifest(tag)
    except NotFound:
        return None
    except ManifestInvalid as error:
        raise unmergeable(described.digest, error) from None
    return current_of(repository, fetched, image)


def current_of(repository: Repository, fetched: FetchedManifest, image: SourceImage) -> Current:
    """Return a fetched manifest of a tag, with the details of its entries.

    Details that are known from the source are not requested again. Raises DestinationError, RegistryError.
    """
    current = Current(fetched.digest, judged_media_type(fetched), fetched.content)
    if current.media_type in media_types.INDEXES:
        return msgspec.structs.replace(current, details=read_behind_tag(repository, read_index(current), image.details))
    entries = image.document.entries if isinstance(image.document, Index) else []
    known = next((entry.platform for entry in entries if entry.digest == current.digest), None)
    return msgspec.structs.replace(current, platform=known or read_platform_of_tag(repository, current))


def judged_media_type(fetched: FetchedManifest) -> str:
    """Return the media type of a manifest; an index by its content is an index, whatever the registry reports."""
    own = media_type_of(fetched.content, None)
    return own if own in media_types.INDEXES else fetched.media_type


def _platform(repository: Repository, reference: Reference, manifest: Manifest) -> Platform | None:
    if manifest.config is None:
        return None
    try:
        return read_platform(repository, manifest)
    except NotFound:
        raise SourceChildMissing(f"{reference} has lost its configuration {manifest.config.digest}.") from None
