"""Merge two indexes by platform (BEHAVIOUR section 4)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.oci import media_types
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest
from tasks.oci.index import Index
from tasks.oci.platform import Platform
from tasks.oci.subjects import anchored, references, stated_subject


@dataclass(frozen=True, slots=True)
class MergeRules:
    """What of a merge is a choice.

    Whether Windows' os.version counts whole, and what else than their annotations say the destination's entries without
    platform refer to (the `subject` of their manifests, by their digests).
    """

    exact_os_version: bool = False
    subjects: Mapping[Digest, Digest] | None = None

    def platform(self, entry: Descriptor) -> Platform | None:
        """Return what the entry is compared by."""
        if entry.platform is None:
            return None
        return entry.platform.normalized(exact_os_version=self.exact_os_version)

    def subject(self, entry: Descriptor) -> str | None:
        """Return the digest that an entry of the destination refers to."""
        if entry.platform is not None:
            return None
        return entry.subject or (self.subjects or {}).get(entry.digest)


DEFAULT_RULES: Final = MergeRules()


def merge(source: Index, destination: Index, rules: MergeRules = DEFAULT_RULES) -> Index:
    """Return all source entries in source order, then what is kept of the destination, in destination order.

    An attestation whose subject is in neither goes, the source's own too.
    """
    theirs = kept(source, destination, rules)
    subjects = anchored([*references(source.entries), *((entry.digest, None) for entry in theirs)])
    ours = tuple(entry for entry in source.entries if stated_subject(entry) in subjects)
    return source.containing(ours + theirs, _media_type(source, ours + theirs))


def kept(source: Index, destination: Index, rules: MergeRules = DEFAULT_RULES) -> tuple[Descriptor, ...]:
    """Return the destination's entries that a merge keeps.

    Those whose platform the source lacks; those that refer to one of them; and those without platform that are the
    destination's alone and refer to nothing. What refers to an image of a platform that the source has goes, even if
    the source has the same image: the source has the word on all of a platform.
    """
    platforms = {rules.platform(entry) for entry in source.entries if entry.platform is not None}
    # Of a digest that both list only what the source says counts, or a repeated merge would find other words there.
    listed = {entry.digest for entry in source.entries}
    alone = [
        entry
        for entry in destination.entries
        if (entry.digest not in listed if entry.platform is None else rules.platform(entry) not in platforms)
    ]
    loose = [entry for entry in source.entries if entry.platform is None]
    subjects = anchored([*references(alone, rules.subject), *references(loose)])
    return tuple(entry for entry in alone if rules.subject(entry) in subjects)


def kept_platforms(entries: Iterable[Descriptor]) -> tuple[Platform, ...]:
    """Return the platforms of kept entries: a merge is needed only if there is one (BEHAVIOUR 3.1)."""
    return tuple(entry.platform for entry in entries if entry.platform is not None)


def select(source: Index, eligible: Sequence[Platform], rules: MergeRules = DEFAULT_RULES) -> Index:
    """Return the source with only the eligible platforms and what refers to them; the source itself if that is all."""
    chosen = [
        entry
        for entry in source.entries
        if stated_subject(entry) is not None
        or (
            entry.platform is not None
            and any(entry.platform.matches(each, exact_os_version=rules.exact_os_version) for each in eligible)
        )
    ]
    subjects = anchored(references(chosen))
    entries = tuple(entry for entry in chosen if stated_subject(entry) in subjects)
    return source if entries == source.entries else source.containing(entries, source.media_type)


def _media_type(source: Index, entries: Iterable[Descriptor]) -> str:
    """Return docker list only if the source is one and every entry is a docker manifest; else OCI index."""
    if source.media_type == media_types.DOCKER_LIST and all(
        entry.media_type == media_types.DOCKER_MANIFEST for entry in entries
    ):
        return media_types.DOCKER_LIST
    return media_types.OCI_INDEX
