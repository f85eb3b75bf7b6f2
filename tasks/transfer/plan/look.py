"""Read what a push starts from: the source image, and what a destination tag holds."""

from dataclasses import replace

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
from tasks.transfer.plan.behind import Behind, read_behind_source, read_behind_tag, read_platform, read_platform_of_tag
from tasks.transfer.plan.decide import Current, MergePolicy, may_merge, read_index, unmergeable
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
    """Resolve a source reference to what will be pushed; raises SourceError or RegistryError.

    What an index does not say of its images is read from their configurations (BEHAVIOUR 4.2): two requests for each
    entry without platform, of which the copy saves one again (`SourceImage.manifests`).
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
    # What destinations are compared with is what registries answer, whatever the reference's own digest is.
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
    """Return what a tag holds, None if it is absent; its content only where a merge may need it, or it is `whole`.

    That includes what the registry calls a single manifest: some say so of an index. Raises DestinationError,
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
    """Return what a tag holds that holds this manifest, with what lies behind it.

    What the source told of an entry is not asked for again. Raises DestinationError, RegistryError.
    """
    current = Current(fetched.digest, judged_media_type(fetched), fetched.content)
    if current.media_type in media_types.INDEXES:
        return replace(current, details=read_behind_tag(repository, read_index(current), image.details))
    return replace(current, platform=read_platform_of_tag(repository, current))


def judged_media_type(fetched: FetchedManifest) -> str:
    """Return the media type of a manifest, an index's where it is one by its content, whatever the registry says."""
    own = media_type_of(fetched.content, None)
    return own if own in media_types.INDEXES else fetched.media_type


def _platform(repository: Repository, reference: Reference, manifest: Manifest) -> Platform | None:
    try:
        return read_platform(repository, manifest)
    except NotFound:
        raise SourceChildMissing(f"{reference} has lost its configuration {manifest.config.digest}.") from None
