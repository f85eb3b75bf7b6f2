"""One image of an index: the image that a client takes by default (BEHAVIOUR 2.2)."""

from collections.abc import Sequence

from tasks.errors import NotFound, PlatformMissing, SourceMissing
from tasks.oci import media_types
from tasks.oci.descriptor import Descriptor
from tasks.oci.document import parse_document
from tasks.oci.index import Index
from tasks.oci.platform import Platform
from tasks.oci.reference import Reference
from tasks.registry.repository import Repository


def pick_image(repository: Repository, reference: Reference, platforms: Sequence[Platform]) -> Reference:
    """Return the reference to one image; a single image's own reference, whatever its platform is.

    Raises SourceMissing, PlatformMissing, ManifestInvalid, RegistryError.
    """
    try:
        fetched = repository.fetch_manifest(reference.identifier)
    except NotFound:
        raise SourceMissing(f"{reference} does not exist.") from None
    document = parse_document(fetched.content, fetched.media_type)
    if not isinstance(document, Index):
        return reference.at(fetched.digest)
    entry = pick(document, platforms)
    if entry is None:
        wanted = ", ".join(map(str, platforms))
        raise PlatformMissing(f"{reference} has several images, and none of the platforms {wanted}.")
    return reference.at(entry.digest)


def pick(index: Index, platforms: Sequence[Platform]) -> Descriptor | None:
    """Return the first entry for the first platform that is present, else the only image, else None."""
    images = [entry for entry in index.entries if entry.media_type not in media_types.INDEXES and not entry.subject]
    for platform in platforms:
        for entry in images:
            if entry.platform is not None and entry.platform.matches(platform):
                return entry
    return images[0] if len(images) == 1 else None
