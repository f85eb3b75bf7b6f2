"""Merge two indexes by platform (BEHAVIOUR section 4)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
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
    """Return all source entries in source order, then what is kept of the destination, in destination order."""
    entries = [entry for part in _parts(source, destination, rules) for entry in part]
    return source.containing(entries, _media_type(source, entries))


def kept(source: Index, destination: Index, rules: MergeRules = DEFAULT_RULES) -> tuple[Descriptor, ...]:
    """Return the destination's entries that a merge keeps.

    Those whose platform the source lacks; those that refer to one of them; and those without platform that are the
    destination's alone and refer to nothing. What refers to an image of a platform that the source has goes, even if
    the source has the same image: the source has the word on all of a platform.
    """
    return _parts(source, destination, rules)[1]


def kept_platforms(entries: Iterable[Descriptor]) -> tuple[Platform, ...]:
    """Return the platforms of kept entries: a merge is needed only if there is one (BEHAVIOUR 3.1)."""
    return tuple(entry.platform for entry in entries if entry.platform is not None)


def select(source: Index, eligible: Sequence[Platform], rules: MergeRules = DEFAULT_RULES) -> Index:
    """Return the source with only the eligible platforms and what refers to them; the source itself if that is all."""
    chosen = [
        entry
        for entry in source.entries
        if _annotated(entry) is not None
        or (
            entry.platform is not None
            and any(entry.platform.matches(each, exact_os_version=rules.exact_os_version) for each in eligible)
        )
    ]
    grounded = _grounded(_said(chosen, _annotated))
    entries = tuple(entry for entry in chosen if _annotated(entry) in grounded)
    if entries == source.entries:
        return source
    return source.containing(entries, source.media_type)


def _parts(
    source: Index, destination: Index, rules: MergeRules
) -> tuple[tuple[Descriptor, ...], tuple[Descriptor, ...]]:
    """Return the entries of a merge: the source's, and the destination's.

    Of a digest that both list, only what the source says counts: or else a repeated merge would find other words there.
    What the source's manifests say of subjects was not read: an entry of the source stays unless its annotation lies.
    """
    taken = {rules.platform(entry) for entry in source.entries if entry.platform is not None}
    listed = {entry.digest for entry in source.entries}
    candidates = [
        entry
        for entry in destination.entries
        if (entry.digest not in listed if entry.platform is None else rules.platform(entry) not in taken)
    ]
    loose = [entry for entry in source.entries if entry.platform is None]
    there = _grounded([*_said(candidates, rules.subject), *_said(loose, _annotated)])
    theirs = tuple(entry for entry in candidates if rules.subject(entry) in there)
    present = [(entry.digest, None) for entry in theirs]
    here = _grounded([*_said(source.entries, _annotated), *present])
    return tuple(entry for entry in source.entries if _annotated(entry) in here), theirs


def _annotated(entry: Descriptor) -> str | None:
    """Return what the annotation of an entry says that it refers to; one with a platform is an image."""
    return entry.subject if entry.platform is None else None


def _said(
    entries: Iterable[Descriptor], subject_of: Callable[[Descriptor], str | None]
) -> list[tuple[str, str | None]]:
    return [(entry.digest, subject_of(entry)) for entry in entries]


def _grounded(said: Iterable[tuple[str, str | None]]) -> set[str | None]:
    """Return the digests that refer to nothing (None is among them), or by however many steps to one that does."""
    reached: list[str] = []
    referrers: dict[str, list[str]] = {}
    for digest, subject in said:
        if subject is None:
            reached.append(digest)
        else:
            referrers.setdefault(subject, []).append(digest)
    grounded: set[str | None] = {None}
    while reached:
        digest = reached.pop()
        grounded.add(digest)
        reached += referrers.pop(digest, [])
    return grounded


def _media_type(source: Index, entries: Iterable[Descriptor]) -> str:
    """Return docker list only if the source is one and every entry is a docker manifest; else OCI index."""
    if source.media_type == media_types.DOCKER_LIST and all(
        entry.media_type == media_types.DOCKER_MANIFEST for entry in entries
    ):
        return media_types.DOCKER_LIST
    return media_types.OCI_INDEX
