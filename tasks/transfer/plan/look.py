"""Read what a push starts from: the source image, and what a destination tag holds."""

from tasks import contract
from tasks.errors import ManifestInvalid, NotFound, SingleArchRefused, SourceChildMissing, SourceError, SourceMissing
from tasks.oci import media_types
from tasks.oci.digest import Digest, digest_of
from tasks.oci.document import media_type_of, parse_document
from tasks.oci.manifest import Manifest, platform_of_config
from tasks.oci.merge import MergeRules
from tasks.oci.platform import Platform
from tasks.oci.reference import Reference
from tasks.registry.manifest_answer import FetchedManifest
from tasks.registry.repository import Repository
from tasks.transfer.plan.decide import Current, MergePolicy, may_merge, read_index, unmergeable
from tasks.transfer.plan.image import SourceImage, kind_of, take_platforms

_CONFIG_BYTES = 8 * 1024 * 1024
_CONFIGS = frozenset({"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"})


def read_source(
    repository: Repository,
    reference: Reference,
    *,
    kind: contract.RequestedKind,
    single_arch: contract.SingleArch,
    eligible: tuple[Platform, ...],
    rules: MergeRules,
) -> SourceImage:
    """Resolve a source reference to what will be pushed; raises SourceError or RegistryError."""
    try:
        fetched = repository.fetch_manifest(reference.identifier)
    except NotFound:
        raise SourceMissing(f"{reference} does not exist.") from None
    document = parse_document(fetched.content, fetched.media_type)
    found = kind_of(document, kind)
    if found == "single-arch" and single_arch == "refuse":
        raise SingleArchRefused(f"{reference} is a single-arch image and not a source image.")
    platform = None
    if isinstance(document, Manifest) and found == "single-arch" and (single_arch == "merge" or eligible):
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
        document=document,
        platform=platform,
    )
    return take_platforms(image, eligible, rules)


def read_current(repository: Repository, tag: str, image: SourceImage, policy: MergePolicy) -> Current | None:
    """Return what a tag holds, None if it is absent; its content only where a merge may need it.

    That includes what the registry calls a single manifest: some say so of an index.
    """
    described = repository.resolve(tag)
    if described is None:
        return None
    if described.digest == image.digest or not may_merge(image, policy, media_types.OCI_INDEX):
        return Current(described.digest, described.media_type)
    try:
        fetched = repository.fetch_manifest(tag)
    except NotFound:
        return None
    except ManifestInvalid as error:
        raise unmergeable(described.digest, error) from None
    return Current(fetched.digest, judged_media_type(fetched), fetched.content)


def judged_media_type(fetched: FetchedManifest) -> str:
    """Return the media type of a manifest, an index's where it is one by its content, whatever the registry says."""
    own = media_type_of(fetched.content, None)
    return own if own in media_types.INDEXES else fetched.media_type


def read_subjects(repository: Repository, current: Current | None) -> dict[Digest, Digest]:
    """Return what the entries without platform or annotation refer to, by the `subject` of their manifests.

    An entry that is gone refers to nothing: whether it may be gone is decided when it is kept. So does one that cannot
    be read: its bytes are not this push's business. Raises DestinationError, RegistryError.
    """
    if current is None or current.media_type not in media_types.INDEXES or not current.content:
        return {}
    subjects = {}
    for entry in read_index(current).entries:
        if entry.platform is not None or entry.subject is not None or entry.media_type not in media_types.IMAGES:
            continue
        try:
            fetched = repository.fetch_manifest(entry.digest)
            manifest = parse_document(fetched.content, fetched.media_type)
        except (NotFound, SourceError):
            continue
        if isinstance(manifest, Manifest) and manifest.subject is not None:
            subjects[entry.digest] = manifest.subject.digest
    return subjects


def _platform(repository: Repository, reference: Reference, manifest: Manifest) -> Platform | None:
    if manifest.config.media_type not in _CONFIGS:
        return None
    try:
        content = repository.read_blob(manifest.config, _CONFIG_BYTES)
    except NotFound:
        raise SourceChildMissing(f"{reference} has lost its configuration {manifest.config.digest}.") from None
    try:
        return platform_of_config(content)
    except (ValueError, RecursionError):
        return None
