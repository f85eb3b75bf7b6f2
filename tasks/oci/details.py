"""Platforms and subjects from the manifests of index entries that do not name them (BEHAVIOUR 4.2 and 4.3)."""

from collections.abc import Collection, Iterable, Mapping

import msgspec

from tasks.oci import media_types
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest
from tasks.oci.index import Index
from tasks.oci.manifest import Manifest
from tasks.oci.platform import Platform


class Details(msgspec.Struct, frozen=True):
    """The platform of an image's configuration, or the subject of an artifact's manifest; at most one of the two.

    `platform_unknown` marks an image whose configuration names no platform, or cannot be read.
    """

    platform: Platform | None = None
    subject: Digest | None = None
    platform_unknown: bool = False


def undescribed(entries: Iterable[Descriptor]) -> list[Descriptor]:
    """Return the entries whose manifests must be read for their platform or subject, each digest once.

    An entry with a platform or an annotated subject needs no reading. A nested index has neither.
    """
    silent = (entry for entry in entries if entry.platform is None and entry.subject is None)
    return list({entry.digest: entry for entry in silent if entry.media_type in {*media_types.IMAGES, ""}}.values())


def with_details(document: Manifest | Index, details: Mapping[Digest, Details]) -> Manifest | Index:
    """Return the document with the details of its entries; the text of every entry stays as it is.

    An artifact whose subject is not in the index counts as one without subject: it stays with the index that lists it.
    """
    if not details or not isinstance(document, Index):
        return document
    listed = {entry.digest for entry in document.entries}
    return msgspec.structs.replace(
        document, entries=tuple(_detailed(entry, details, listed) for entry in document.entries)
    )


def _detailed(entry: Descriptor, details: Mapping[Digest, Details], listed: Collection[Digest]) -> Descriptor:
    known = details.get(entry.digest)
    if known is None or entry.platform is not None or entry.subject is not None:
        return entry
    subject = known.subject if known.subject in listed else None
    return msgspec.structs.replace(
        entry, platform=known.platform, subject=subject, platform_unknown=known.platform_unknown
    )
