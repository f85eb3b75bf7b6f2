"""The referrers of an image and the lists of them, as of OCI 1.1. Pure (BEHAVIOUR section 9).

A fallback index is tagged `sha256-HEX` (distribution-spec 1.1, "Referrers Tag Schema").
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import msgspec

from tasks.errors import ManifestInvalid
from tasks.oci import media_types
from tasks.oci.ambiguity import refuse_ambiguous_manifest
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest, algorithm_of, encoded_of, parse_digest
from tasks.oci.index import Index, index_of, parse_index

_LONGEST_ALGORITHM: Final = 32
_LONGEST_HEX: Final = 64


class Referrer(msgspec.Struct, frozen=True, kw_only=True):
    """One manifest with a subject, as described by an entry of a list of referrers."""

    digest: Digest
    media_type: str
    size: int
    artifact_type: str = ""
    annotations: dict[str, str] = {}

    @property
    def entry(self) -> Descriptor:
        """Return the entry of a fallback index for this manifest."""
        said: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        said |= {"artifactType": self.artifact_type} if self.artifact_type else {}
        said |= {"annotations": self.annotations} if self.annotations else {}
        return Descriptor.parse(msgspec.json.encode(said))


class _Entry(msgspec.Struct, rename="camel"):
    digest: str
    size: int
    media_type: str
    artifact_type: str | None = None
    annotations: dict[str, str | None] | None = None


class _List(msgspec.Struct):
    manifests: list[_Entry] | None


class Described(msgspec.Struct, rename="camel"):
    """The fields of a manifest that the entry of a referrer repeats."""

    artifact_type: str | None = None
    annotations: dict[str, str | None] | None = None
    config: dict[str, Any] | None = None
    layers: list[dict[str, Any]] | None = None
    subject: dict[str, Any] | None = None


_list_decoder: Final = msgspec.json.Decoder(_List)
_described_decoder: Final = msgspec.json.Decoder(Described)


def fallback_tag(subject: Digest) -> str:
    """Return the tag of the fallback index of a digest, for registries without a referrers API."""
    return f"{algorithm_of(subject)[:_LONGEST_ALGORITHM]}-{encoded_of(subject)[:_LONGEST_HEX]}"


def parse_list(content: bytes) -> list[Referrer]:
    """Parse an answer of the referrers API or a fallback index; raises ValueError.

    Text that other clients may read differently is no list (BEHAVIOUR 2.3).
    """
    try:
        refuse_ambiguous_manifest(content)
    except ManifestInvalid as error:
        raise ValueError(error.message) from None
    return [
        Referrer(
            digest=parse_digest(entry.digest),
            media_type=entry.media_type,
            size=entry.size,
            artifact_type=entry.artifact_type or "",
            annotations={key: text for key, text in (entry.annotations or {}).items() if text is not None},
        )
        for entry in _list_decoder.decode(content).manifests or ()
    ]


def describe(content: bytes, media_type: str, digest: Digest) -> tuple[Referrer, str | None]:
    """Return a manifest's entry for lists of referrers, and the digest of its subject; raises ManifestInvalid.

    The artifactType is that of the manifest, else its configuration's media type ("Pushing Manifests with Subject").
    """
    said = read_described(content)
    config_type = (said.config or {}).get("mediaType")
    subject = (said.subject or {}).get("digest")
    described = Referrer(
        digest=digest,
        media_type=media_type,
        size=len(content),
        artifact_type=said.artifact_type or (config_type if isinstance(config_type, str) else ""),
        annotations={key: text for key, text in (said.annotations or {}).items() if text is not None},
    )
    return described, subject if isinstance(subject, str) else None


def with_entries(held: Sequence[bytes], entries: Iterable[Referrer]) -> bytes:
    """Return a fallback index with all entries of the `held` indexes, then `entries`; each digest once.

    If the first index has all entries, it is returned byte for byte. Raises ManifestInvalid.
    """
    for content in held:
        refuse_ambiguous_manifest(content)
    try:
        indexes = [parse_index(content, media_types.OCI_INDEX) for content in held]
    except (ValueError, RecursionError) as error:
        raise ManifestInvalid(f"A list of referrers is not an index: {error}.") from None
    first: Index = indexes[0] if indexes else index_of(media_types.OCI_INDEX)
    known = {entry.digest: entry for index in indexes for entry in reversed(index.entries)}
    order = dict.fromkeys(entry.digest for index in indexes for entry in index.entries)
    for each in entries:
        known.setdefault(each.digest, each.entry)
        order.setdefault(each.digest)
    if held and order.keys() == {entry.digest for entry in first.entries}:
        return held[0]
    return first.containing((known[digest] for digest in order), media_types.OCI_INDEX).encode()


def is_chosen(referrer: Referrer, types: Collection[str]) -> bool:
    """Tell whether a referrer has one of the artifact types; () stands for all types."""
    return not types or referrer.artifact_type in types


def read_described(content: bytes) -> Described:
    """Return the fields of a manifest that the entry of a referrer repeats; raises ManifestInvalid."""
    refuse_ambiguous_manifest(content)
    try:
        return _described_decoder.decode(content)
    except (ValueError, RecursionError) as error:
        raise ManifestInvalid(f"A referrer is not a manifest: {error}.") from None
