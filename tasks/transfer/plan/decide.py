"""Decide on a tag: the source as it is, or a merge with the tag's manifest (BEHAVIOUR sections 2.2, 3 and 4). Pure."""

from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec

from tasks import contract
from tasks.errors import (
    DestinationAmbiguous,
    DestinationError,
    IndexEmpty,
    ManifestAmbiguous,
    ManifestInvalid,
    PlatformUnknown,
)
from tasks.oci import media_types
from tasks.oci.descriptor import Descriptor
from tasks.oci.details import Details, with_details
from tasks.oci.digest import Digest, algorithm_of, digest_of, encoded_of
from tasks.oci.document import parse_document
from tasks.oci.index import Index, index_of
from tasks.oci.index_equality import same_entries
from tasks.oci.merge import DEFAULT_RULES, Merged, MergeRules, merge
from tasks.oci.order import in_order
from tasks.oci.platform import Platform
from tasks.transfer.plan.image import SourceImage

MANIFEST_OVERWRITTEN: Final = "manifest_overwritten"


class Current(msgspec.Struct, frozen=True):
    """The manifest that a tag holds; fields other than digest and media type are read only if a merge may need them.

    `platform` is from the configuration of a single image, `details` are those behind the entries of an index.
    """

    digest: Digest
    media_type: str
    content: bytes = b""
    platform: Platform | None = None
    details: Mapping[Digest, Details] = msgspec.field(default_factory=dict)


class MergePolicy(msgspec.Struct, frozen=True):
    """The settings of an item for merging."""

    merge: bool = True
    single_arch: contract.SingleArch = "merge"
    rules: MergeRules = DEFAULT_RULES


class Decision(msgspec.Struct, frozen=True):
    """The decision on a tag: `held` is the manifest that it will hold, `kept` the entries that only the tag had."""

    action: Literal["copied", "merged", "unchanged"]
    held: Current
    kept: tuple[Descriptor, ...] = ()
    warnings: tuple[contract.Notice, ...] = ()

    @property
    def digest(self) -> Digest:
        """The digest of the manifest that the tag will hold."""
        return self.held.digest

    @property
    def media_type(self) -> str:
        """The media type of the manifest that the tag will hold."""
        return self.held.media_type

    @property
    def content(self) -> bytes:
        """The bytes of the manifest that the tag will hold."""
        return self.held.content

    @property
    def kept_platforms(self) -> list[str]:
        """Return the names of the kept platforms, as the destination names them, each once."""
        return list(dict.fromkeys(str(entry.platform) for entry in self.kept if entry.platform is not None))


def may_merge(image: SourceImage, policy: MergePolicy) -> bool:
    """Tell whether the content of a tag's manifest matters, beyond its digest."""
    if not policy.merge or image.kind == "source":
        return False
    return image.kind == "multi-arch" or policy.single_arch == "merge"


def decide(image: SourceImage, current: Current | None, policy: MergePolicy) -> Decision:
    """Return the decision on a tag that holds `current`.

    Several images for one tag are decided on in turn, each on the result of the one before (`Decision.held`). Raises
    DestinationError if the tag's manifest cannot be read, PlatformUnknown if an image of unknown platform would
    overwrite an index.
    """
    if current is None:
        return _copy(image)
    if current.digest == image.digest:
        return _copy(image, "unchanged")
    if not may_merge(image, policy):
        lost = image.kind == "multi-arch" and current.media_type not in media_types.INDEXES
        return _copy(image, warnings=(_overwritten(current),) if lost else ())
    if current.media_type in media_types.INDEXES:
        return _into_index(image, current, policy.rules)
    return _beside_manifest(image, current, policy.rules)


def without(current: Current, missing: frozenset[Digest]) -> Current:
    """Return `current` without the missing entries of its index; its digest stays that of the tag."""
    index = read_index(current)
    remaining = index.containing((entry for entry in index.entries if entry.digest not in missing), index.media_type)
    return msgspec.structs.replace(current, content=_encode(remaining, current.digest))


def read_index(current: Current) -> Index:
    """Return the index that a tag holds, even one without entries; raises DestinationError for anything else."""
    try:
        document = parse_document(current.content, current.media_type)
    except IndexEmpty:
        return index_of(current.media_type)
    except ManifestInvalid as error:
        raise unmergeable(current.digest, error) from None
    document = with_details(document, current.details)
    if not isinstance(document, Index):
        raise DestinationError(f"{current.digest} is not the index that its registry says it is.")
    return document


def unmergeable(digest: Digest, error: ManifestInvalid) -> DestinationError:
    """Return the error for an unreadable or ambiguous index at a tag."""
    if isinstance(error, ManifestAmbiguous):
        return DestinationAmbiguous(f"What the tag holds, {digest}, is not merged with: {error.message}")
    return DestinationError(
        f"The index that the tag holds, {digest}, cannot be merged with: {error.message} "
        "Set `merge` of the item to false to overwrite it."
    )


def protective_tags(tag: str, digest: Digest, mark: Literal["merged", "replaced"] = "merged") -> Iterator[str]:
    """Yield the possible names of a tag that protects a manifest from garbage collection, the first choice first.

    Each has at most 128 characters (BEHAVIOUR 4.8).
    """
    for digits in (32, 48, 64):
        suffix = f".{mark}-{encoded_of(digest)[:digits]}"
        yield f"{tag[: 128 - len(suffix)]}{suffix}"


def _into_index(image: SourceImage, current: Current, rules: MergeRules) -> Decision:
    """Decide on a tag that holds an index (3.1, 3.2, 4.6): it will hold an index again."""
    destination = read_index(current)
    whole = digest_of(current.content, algorithm_of(current.digest)) == current.digest
    if isinstance(image.document, Index):
        merged = merge(image.document, destination, rules)
        if not merged.is_needed:
            return _copy(image)
        if whole and same_entries(merged.index, destination):
            return Decision("unchanged", current, merged.kept)
        return _merge(image, current, merged)
    entry = _entry_of(image, destination)
    rivals = [other for other in destination.entries if rules.platform(other) == rules.platform(entry)]
    if whole and rivals == [entry]:
        others = (other for other in destination.entries if other != entry)
        return Decision("unchanged", current, tuple(in_order(others, rules.platform)))
    source = destination.containing([entry], _list_type(image.media_type))
    return _merge(image, current, merge(source, destination, rules))


def _beside_manifest(image: SourceImage, current: Current, rules: MergeRules) -> Decision:
    """Decide on a tag that holds a single manifest (3.2): an index of both, if they are of different platforms."""
    source = image.document if isinstance(image.document, Index) else None
    theirs = current.platform
    if source is not None:
        theirs = next((entry.platform for entry in source.entries if entry.digest == current.digest), None) or theirs
    elif image.platform is not None:
        source = index_of(_list_type(image.media_type), _described(image, image.platform))
    if source is None or theirs is None:
        return _copy(image, warnings=(_overwritten(current, "The platform of one of the two is not known."),))
    entry = Descriptor.of_image(current.media_type, current.digest, len(current.content), theirs)
    merged = merge(source, index_of(_list_type(current.media_type), entry), rules)
    if not merged.kept:
        return _copy(image, warnings=(_overwritten(current),))
    return _merge(image, current, merged)


def _copy(
    image: SourceImage,
    action: Literal["copied", "unchanged"] = "copied",
    warnings: tuple[contract.Notice, ...] = (),
) -> Decision:
    held = Current(image.digest, image.media_type, image.content, image.platform, image.details)
    return Decision(action, held, warnings=warnings)


def _merge(image: SourceImage, current: Current, merged: Merged) -> Decision:
    content = _encode(merged.index, current.digest)
    details = {**current.details, **image.details}
    held = Current(digest_of(content), merged.index.media_type, content, details=details)
    return Decision("unchanged" if held.digest == current.digest else "merged", held, merged.kept)


def _encode(index: Index, held: Digest) -> bytes:
    """Return the text of an index with entries of the tag's old index; raises DestinationError."""
    try:
        return index.encode()
    except ManifestInvalid as error:
        raise unmergeable(held, error) from None


def _entry_of(image: SourceImage, destination: Index) -> Descriptor:
    """Return a single-arch image as an entry of the destination's index, with the platform name used there, if any."""
    for entry in destination.entries:
        if entry.digest == image.digest and entry.platform is not None:
            return entry
    if image.platform is None:
        raise PlatformUnknown(
            f"{image.reference} is a single image that names no platform in its configuration, and the tag holds an"
            " index."
        )
    return _described(image, image.platform)


def _described(image: SourceImage, platform: Platform) -> Descriptor:
    return Descriptor.of_image(image.media_type, image.digest, len(image.content), platform)


def _list_type(media_type: str) -> str:
    """Return the media type of an index of manifests of this media type (4.5)."""
    return media_types.DOCKER_LIST if media_type == media_types.DOCKER_MANIFEST else media_types.OCI_INDEX


def _overwritten(current: Current, reason: str = "") -> contract.Notice:
    message = f"A single manifest, {current.digest}, is overwritten. {reason}".rstrip()
    return contract.Notice(PlatformUnknown.code if reason else MANIFEST_OVERWRITTEN, message)
