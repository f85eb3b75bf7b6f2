"""The merge of two indexes by platform (BEHAVIOUR section 4). Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from tasks.oci import media_types
from tasks.oci.descriptor import Descriptor
from tasks.oci.index import Index
from tasks.oci.order import in_order
from tasks.oci.platform import Platform
from tasks.oci.subjects import anchored, references, subject_of


class MergeRules(msgspec.Struct, frozen=True):
    """The options of a merge: whether all four parts of Windows' os.version count."""

    exact_os_version: bool = False

    def platform(self, entry: Descriptor) -> Platform | None:
        """Return the platform of an entry in its normal form for comparison."""
        if entry.platform is None:
            return None
        return entry.platform.normalized(exact_os_version=self.exact_os_version)


DEFAULT_RULES: Final = MergeRules()


class Merged(msgspec.Struct, frozen=True):
    """A merged index, and its entries that come from the destination alone, in the index's order."""

    index: Index
    kept: tuple[Descriptor, ...]

    @property
    def is_needed(self) -> bool:
        """Whether the source alone would lose an image: one of an absent or an unknown platform (3.1)."""
        return any(entry.platform is not None or entry.platform_unknown for entry in self.kept)


def merge(source: Index, destination: Index, rules: MergeRules = DEFAULT_RULES) -> Merged:
    """Return all source entries and the kept entries of the destination, in canonical order (4.1).

    An attestation whose subject is in neither index is dropped, even the source's own (4.3). Top-level fields come from
    the source (4.4): if builds differ in them, the bytes depend on the last push, but the entries do not.
    """
    theirs = _kept(source, destination, rules)
    subjects = anchored([*references(source.entries), *((entry.digest, None) for entry in theirs)])
    ours = [entry for entry in source.entries if subject_of(entry) in subjects]
    entries = in_order([*ours, *theirs], rules.platform)
    merged = source.containing(entries, _media_type(source, destination, entries))
    return Merged(merged, tuple(in_order(theirs, rules.platform)))


def select(source: Index, eligible: Sequence[Platform], rules: MergeRules = DEFAULT_RULES) -> Index:
    """Return the source with only the eligible platforms and their referrers; the source itself if that is all."""
    chosen = [
        entry for entry in source.entries if subject_of(entry) is not None or _is_eligible(entry, eligible, rules)
    ]
    subjects = anchored(references(chosen))
    entries = tuple(entry for entry in chosen if subject_of(entry) in subjects)
    return source if entries == source.entries else source.containing(entries, source.media_type)


def _kept(source: Index, destination: Index, rules: MergeRules) -> list[Descriptor]:
    """Return the destination's entries that a merge keeps.

    Kept are the entries whose platform the source lacks, the entries that refer to one of them, and entries without
    platform and without subject that only the destination has. An entry that refers to an image of a platform in the
    source is dropped, even if the source has the same image: the source decides on everything of its platforms.
    """
    platforms = {rules.platform(entry) for entry in source.entries if entry.platform is not None}
    # If both list a digest, the source's entry wins; otherwise a second merge would not be idempotent.
    listed = {entry.digest for entry in source.entries}
    alone = [
        entry
        for entry in destination.entries
        if (entry.digest not in listed if entry.platform is None else rules.platform(entry) not in platforms)
    ]
    loose = [entry for entry in source.entries if entry.platform is None]
    subjects = anchored([*references(alone), *references(loose)])
    return [entry for entry in alone if subject_of(entry) in subjects]


def _is_eligible(entry: Descriptor, eligible: Iterable[Platform], rules: MergeRules) -> bool:
    found = entry.platform
    return found is not None and any(
        found.matches(wanted, exact_os_version=rules.exact_os_version) for wanted in eligible
    )


def _media_type(source: Index, destination: Index, entries: Iterable[Descriptor]) -> str:
    """Return Docker's list type if both are lists and all entries are docker manifests, else OCI's index type (4.5)."""
    lists = {source.media_type, destination.media_type} == {media_types.DOCKER_LIST}
    images = all(entry.media_type == media_types.DOCKER_MANIFEST for entry in entries)
    return media_types.DOCKER_LIST if lists and images else media_types.OCI_INDEX
