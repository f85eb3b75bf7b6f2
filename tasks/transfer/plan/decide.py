"""What a tag gets: the source as it is, or a merge with what is there (BEHAVIOUR sections 2.2, 3 and 4). Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tasks import contract
from tasks.errors import DestinationError, IndexEmpty, ManifestInvalid
from tasks.oci import media_types
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest, algorithm_of, digest_of, encoded_of
from tasks.oci.document import parse_document
from tasks.oci.index import Index, empty_index
from tasks.oci.merge import DEFAULT_RULES, MergeRules, kept, kept_platforms, merge
from tasks.transfer.plan.image import SourceImage


@dataclass(frozen=True)
class Current:
    """What a tag holds; `content` is read only where a merge may need it."""

    digest: Digest
    media_type: str
    content: bytes = b""


@dataclass(frozen=True)
class MergePolicy:
    """The item's word on merging."""

    merge: bool = True
    single_arch: contract.SingleArch = "merge"
    rules: MergeRules = DEFAULT_RULES


@dataclass(frozen=True)
class Decision:
    """What is to be done: `content` is what the tag gets, `kept` what of it is the destination's."""

    action: Literal["copied", "merged", "unchanged"]
    digest: Digest
    media_type: str
    content: bytes
    kept: tuple[Descriptor, ...] = ()
    warning: str | None = None

    @property
    def kept_platforms(self) -> list[str]:
        """Return the names of the platforms that are kept, in the destination's words, each once."""
        return list(dict.fromkeys(map(str, kept_platforms(self.kept))))


def may_merge(image: SourceImage, policy: MergePolicy, media_type: str) -> bool:
    """Tell whether what a tag holds matters, beyond its digest."""
    if not policy.merge or image.kind == "source" or media_type not in media_types.INDEXES:
        return False
    return image.kind == "multi-arch" or (policy.single_arch == "merge" and image.platform is not None)


def decide(image: SourceImage, current: Current | None, policy: MergePolicy) -> Decision:
    """Return what becomes of a tag that holds `current`; raises DestinationError if that cannot be read."""
    if current is None:
        return _copy(image)
    if current.digest == image.digest:
        return _copy(image, "unchanged")
    if not may_merge(image, policy, current.media_type):
        lost = image.kind == "multi-arch" and current.media_type not in media_types.INDEXES
        return _copy(image, warning=f"A single manifest, {current.digest}, is overwritten." if lost else None)
    destination = read_index(current)
    if isinstance(image.document, Index):
        remaining = kept(image.document, destination, policy.rules)
        if not kept_platforms(remaining):
            return _copy(image)
        return _merge(image.document, current, destination, policy.rules)
    entry = _entry_of(image, destination)
    rivals = [other for other in destination.entries if policy.rules.platform(other) == policy.rules.platform(entry)]
    whole = digest_of(current.content, algorithm_of(current.digest)) == current.digest
    if whole and rivals == [entry]:
        others = tuple(other for other in destination.entries if other != entry)
        return Decision("unchanged", current.digest, current.media_type, current.content, others)
    return _merge(destination.containing([entry], media_types.OCI_INDEX), current, destination, policy.rules)


def without(current: Current, missing: frozenset[Digest]) -> Current:
    """Return `current` as if its index did not list what is missing; its digest stays that of the tag."""
    index = read_index(current)
    remaining = index.containing((entry for entry in index.entries if entry.digest not in missing), index.media_type)
    return Current(current.digest, current.media_type, _encode(remaining, current.digest))


def read_index(current: Current) -> Index:
    """Return the index that a tag holds, one without entries too; raises DestinationError if it is none."""
    try:
        document = parse_document(current.content, current.media_type)
    except IndexEmpty:
        return empty_index(current.media_type)
    except ManifestInvalid as error:
        raise unmergeable(current.digest, error) from None
    if not isinstance(document, Index):
        raise DestinationError(f"{current.digest} is not the index that its registry says it is.")
    return document


def unmergeable(digest: Digest, error: ManifestInvalid) -> DestinationError:
    """Return what to say of an index that the tag holds and that nobody can read."""
    return DestinationError(
        f"The index that the tag holds, {digest}, cannot be merged with: {error.message} "
        "Set `merge` of the item to false to overwrite it."
    )


def protective_tags(tag: str, digest: Digest) -> Iterator[str]:
    """Yield the names of a tag that keeps a merged index from garbage collection, the first choice first.

    Each has at most 128 characters (BEHAVIOUR 4.8).
    """
    for digits in (32, 48, 64):
        suffix = f".merged-{encoded_of(digest)[:digits]}"
        yield f"{tag[: 128 - len(suffix)]}{suffix}"


def _copy(
    image: SourceImage, action: Literal["copied", "unchanged"] = "copied", warning: str | None = None
) -> Decision:
    return Decision(action, image.digest, image.media_type, image.content, warning=warning)


def _merge(source: Index, current: Current, destination: Index, rules: MergeRules) -> Decision:
    merged = merge(source, destination, rules)
    content = _encode(merged, current.digest)
    digest = digest_of(content)
    action: Literal["merged", "unchanged"] = "unchanged" if digest == current.digest else "merged"
    return Decision(action, digest, merged.media_type, content, kept(source, destination, rules))


def _encode(index: Index, held: Digest) -> bytes:
    """Return the text of an index that has entries of the one that the tag holds; raises DestinationError."""
    try:
        return index.encode()
    except ManifestInvalid as error:
        raise unmergeable(held, error) from None


def _entry_of(image: SourceImage, destination: Index) -> Descriptor:
    """Return a single-arch image as an entry of the destination's index: in the words that this has for it, if any."""
    if image.platform is None:
        raise ValueError("an image without platform is not put into an index")
    return next(
        (entry for entry in destination.entries if entry.digest == image.digest and entry.platform is not None),
        Descriptor.of_image(image.media_type, image.digest, len(image.content), image.platform),
    )
