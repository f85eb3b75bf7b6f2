"""Read details of index entries from their manifests and configurations (BEHAVIOUR 4.2 and 4.3)."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from tasks.errors import ManifestAmbiguous, ManifestInvalid, NotFound, SourceChildMissing, SourceError
from tasks.oci import media_types
from tasks.oci.ambiguity import refuse_ambiguous_configuration
from tasks.oci.descriptor import UNKNOWN_SIZE
from tasks.oci.details import Details, undescribed
from tasks.oci.digest import Digest
from tasks.oci.document import parse_document
from tasks.oci.index import Index
from tasks.oci.manifest import Manifest, platform_of_config
from tasks.oci.platform import Platform
from tasks.registry.manifest_answer import FetchedManifest
from tasks.registry.repository import Repository
from tasks.transfer.plan.decide import Current, unmergeable

_CONFIG_BYTES: Final = 8 * 1024 * 1024


class Behind(msgspec.Struct, frozen=True):
    """The details behind the entries of a source index, and the manifests that a copy need not read again."""

    details: dict[Digest, Details] = msgspec.field(default_factory=dict)
    manifests: dict[Digest, bytes] = msgspec.field(default_factory=dict)


def read_behind_source(repository: Repository, index: Index) -> Behind:
    """Read the manifest of each entry without a clear type or platform, and the configuration if it is an image.

    The copy deals with an unreadable manifest. Raises SourceChildMissing, ManifestAmbiguous, RegistryError.
    """
    behind = Behind()
    for entry in undescribed(index.entries):
        try:
            fetched = repository.fetch_manifest(entry.digest)
            behind.details[entry.digest] = _details(repository, fetched)
        except NotFound:
            raise SourceChildMissing(f"{repository} has lost {entry.digest}, or its configuration.") from None
        except ManifestAmbiguous:
            raise
        except SourceError:
            continue
        if entry.media_type == fetched.media_type:
            behind.manifests[entry.digest] = fetched.content
    return behind


def read_behind_tag(repository: Repository, index: Index, known: Mapping[Digest, Details]) -> dict[Digest, Details]:
    """Return the details behind the entries of an index that a tag holds, without requests for `known` entries.

    A missing entry matters only when the entry is kept (4.9); nothing is guessed about an unreadable entry. Raises
    DestinationError, RegistryError.
    """
    details = {}
    for entry in undescribed(index.entries):
        found = known.get(entry.digest) or _details_at_tag(repository, entry.digest)
        if found is not None:
            details[entry.digest] = found
    return details


def read_platform(repository: Repository, manifest: Manifest) -> Platform | None:
    """Return the platform in an image's configuration, None if it names none or belongs to no image.

    Raises NotFound, ManifestAmbiguous, RegistryError.
    """
    said = _said_platform(repository, manifest)
    return said if said is not None and said.known else None


def read_platform_of_tag(repository: Repository, current: Current) -> Platform | None:
    """Return the platform of a single image that a tag holds, None if it cannot be known.

    Raises DestinationError, RegistryError.
    """
    try:
        manifest = parse_document(current.content, current.media_type)
        return read_platform(repository, manifest) if isinstance(manifest, Manifest) else None
    except ManifestAmbiguous as error:
        raise unmergeable(current.digest, error) from None
    except (NotFound, SourceError):
        return None


def _details_at_tag(repository: Repository, digest: Digest) -> Details | None:
    """Return the details behind an index entry at the destination, None if its manifest is gone."""
    try:
        fetched = _find(repository, digest)
        return None if fetched is None else _details(repository, fetched)
    except ManifestAmbiguous as error:
        raise unmergeable(digest, error) from None
    except (NotFound, SourceError):
        return Details(platform_unknown=True)


def _said_platform(repository: Repository, manifest: Manifest) -> Platform | None:
    """Return the platform as a configuration states it, None if it is unreadable or belongs to no image."""
    config = manifest.config
    if config is None or config.media_type not in media_types.CONFIGURATIONS:
        return None
    if config.size == UNKNOWN_SIZE:
        config = replace(config, size=repository.blob_size(config.digest) or 0)
    if config.size > _CONFIG_BYTES:
        return None
    content = repository.read_blob(config, _CONFIG_BYTES)
    try:
        refuse_ambiguous_configuration(content)
        return platform_of_config(content)
    except ManifestAmbiguous:
        raise
    except (ManifestInvalid, ValueError, RecursionError):
        return None


def _details(repository: Repository, fetched: FetchedManifest) -> Details:
    """Return the details of a manifest; raises NotFound for a missing configuration, SourceError, RegistryError."""
    manifest = parse_document(fetched.content, fetched.media_type)
    if not isinstance(manifest, Manifest):
        return Details()
    if manifest.subject is not None:
        return Details(subject=manifest.subject.digest)
    said = _said_platform(repository, manifest)
    if said is not None and said.known:
        return Details(said)
    config = manifest.config
    is_image = config is not None and config.media_type in media_types.CONFIGURATIONS
    return Details(platform_unknown=is_image and not (said and said.of_no_image))


def _find(repository: Repository, digest: Digest) -> FetchedManifest | None:
    try:
        return repository.fetch_manifest(digest)
    except NotFound:
        return None
