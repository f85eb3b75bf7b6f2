"""The subjects of index entries: an attestation refers to its image, a signature to either (BEHAVIOUR 4.3)."""

from collections.abc import Iterable

from tasks.oci.descriptor import Descriptor

# The digest of an entry, and that of its subject, if any.
Reference = tuple[str, str | None]


def subject_of(entry: Descriptor) -> str | None:
    """Return the digest of an entry's subject; an entry with a platform is an image, whatever its annotations say."""
    return entry.subject if entry.platform is None else None


def references(entries: Iterable[Descriptor]) -> list[Reference]:
    """Return each entry's digest with that of its subject."""
    return [(entry.digest, subject_of(entry)) for entry in entries]


def anchored(stated: Iterable[Reference]) -> set[str | None]:
    """Return None, the digests without a subject, and all digests whose subjects lead to one of these."""
    reached: list[str] = []
    referrers: dict[str, list[str]] = {}
    for digest, subject in stated:
        if subject is None:
            reached.append(digest)
        else:
            referrers.setdefault(subject, []).append(digest)
    found: set[str | None] = {None}
    while reached:
        digest = reached.pop()
        found.add(digest)
        reached += referrers.pop(digest, [])
    return found
