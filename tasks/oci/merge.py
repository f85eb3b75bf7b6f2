"""Merge two indexes by platform (BEHAVIOUR section 4)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.oci import media_types
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest
from tasks.oci.index import Index
from tasks.oci.platform import Platform


@dataclass(frozen=True, slots=True)
class MergeRules:
    """What of a merge is a choice.

    Whether Windows' os.version counts whole, and what else than its annotation says an entry without platform refers to
    (the `subject` of its manifest, by its digest).
    """

    exact_os_version: bool = False
    subjects: Mapping[Digest, Digest] | None = None

    def platform(self, entry: Descriptor) -> Platform | None:
        """Return what the entry is compared by."""
        if entry.platform is None:
            return None
        return entry.platform.normalized(exact_os_version=self.exact_os_version)

    def subject(self, entry: Descriptor) -> Digest | None:
        """Return the digest that an entry without platform refers to."""
        if entry.platform is not None:
            return None
        return entry.subject or (self.subjects or {}).get(entry.digest)


DEFAULT_RULES: Final = MergeRules()


def merge(source: Index, destination: Index, rules: MergeRules = DEFAULT_RULES) -> Index:
    """Return all source entries in source order, then what is kept of the destination, in destination order."""
    entries = _with_subjects((*source.entries, *kept(source, destination, rules)), rules)
    return source.containing(entries, _media_type(source, entries))


def kept(source: Index, destination: Index, rules: MergeRules = DEFAULT_RULES) -> tuple[Descriptor, ...]:
    """Return the destination's entries that a merge keeps.

    Those whose platform the source lacks; those that refer to one of them; and those without platform that are the
    destination's alone and refer to nothing.
    """
    taken = {rules.platform(entry) for entry in source.entries}
    listed = {entry.digest for entry in source.entries}
    candidates = [
        entry
        for entry in destination.entries
        if (entry.digest not in listed if entry.platform is None else rules.platform(entry) not in taken)
    ]
    return tuple(_with_subjects(candidates, rules))


def kept_platforms(entries: Iterable[Descriptor]) -> tuple[Platform, ...]:
    """Return the platforms of kept entries: a merge is needed only if there is one (BEHAVIOUR 3.1)."""
    return tuple(entry.platform for entry in entries if entry.platform is not None)


def select(source: Index, eligible: Sequence[Platform], rules: MergeRules = DEFAULT_RULES) -> Index:
    """Return the source with only the eligible platforms and what refers to them; the source itself if that is all."""
    chosen = [
        entry
        for entry in source.entries
        if rules.subject(entry) is not None
        or (entry.platform is not None and any(entry.platform.matches(platform) for platform in eligible))
    ]
    entries = _with_subjects(chosen, rules)
    if entries == list(source.entries):
        return source
    return source.containing(entries, source.media_type)


def _with_subjects(entries: Iterable[Descriptor], rules: MergeRules) -> list[Descriptor]:
    """Drop what refers to an entry that is not there, until nothing does."""
    remaining = list(entries)
    while True:
        present = {entry.digest for entry in remaining}
        complete = [entry for entry in remaining if rules.subject(entry) in present | {None}]
        if len(complete) == len(remaining):
            return complete
        remaining = complete


def _media_type(source: Index, entries: Iterable[Descriptor]) -> str:
    """Return docker list only if the source is one and every entry is a docker manifest; else OCI index."""
    if source.media_type == media_types.DOCKER_LIST and all(
        entry.media_type == media_types.DOCKER_MANIFEST for entry in entries
    ):
        return media_types.DOCKER_LIST
    return media_types.OCI_INDEX
