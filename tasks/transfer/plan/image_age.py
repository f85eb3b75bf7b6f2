"""Read the age of an image from its annotations and its configuration (BEHAVIOUR 10.4)."""

from typing import Final

from tasks import contract
from tasks.errors import NotFound, SourceError
from tasks.oci import media_types
from tasks.oci.document import parse_document
from tasks.oci.index import Index
from tasks.oci.manifest import Manifest
from tasks.oci.version import Age, said_age
from tasks.registry.repository import Repository

_CONFIG_BYTES: Final = 8 * 1024 * 1024


def read_age(repository: Repository, content: bytes, media_type: str, by: contract.ForwardOnly) -> Age:
    """Return the age of a manifest: from its annotations, else from its configuration, or from each image of an index.

    Missing or unreadable parts of an index are ignored. Raises RegistryError.
    """
    own = said_age(content)
    if own.versions if by == "version" else own.created:
        return own
    try:
        document = parse_document(content, media_type)
    except SourceError:
        return own
    if isinstance(document, Manifest):
        return _of_config(repository, document)
    return _of_images(repository, document, by)


def _of_config(repository: Repository, manifest: Manifest) -> Age:
    config = manifest.config
    if config is None or config.media_type not in media_types.CONFIGURATIONS or not 0 <= config.size <= _CONFIG_BYTES:
        return Age()
    try:
        return said_age(repository.read_blob(config, _CONFIG_BYTES))
    except NotFound:
        return Age()


def _of_images(repository: Repository, index: Index, by: contract.ForwardOnly) -> Age:
    ages = []
    for entry in index.entries:
        if entry.subject is not None or entry.media_type not in {*media_types.IMAGES, ""}:
            continue
        try:
            fetched = repository.fetch_manifest(entry.digest)
        except (NotFound, SourceError):
            continue
        if fetched.media_type in media_types.IMAGES:
            ages.append(read_age(repository, fetched.content, fetched.media_type, by))
    return Age(
        tuple(version for age in ages for version in age.versions),
        tuple(created for age in ages for created in age.created),
    )
