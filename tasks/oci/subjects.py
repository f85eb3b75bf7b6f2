"""What entries of an index refer to: an attestation to its image, a signature to either (BEHAVIOUR 4.3)."""

from collections.abc import Iterable

from tasks.oci.descriptor import Descriptor

# The digest of an entry, and of what it refers to, if it refers to anything.
Reference = tuple[str, str | None]


def subject_of(entry: Descriptor) -> str | None:
    """Return the digest that an entry refers to; one with a platform is an image, whatever is noted on it."""
    return entry.subject if entry.platform is None else None


def references(entries: Iterable[Descriptor]) -> list[Reference]:
    """Return what each entry refers to."""
    return [(entry.digest, subject_of(entry)) for entry in entries]


def anchored(stated: Iterable[Reference]) -> set[str | None]:
    """Return the digests that refer to nothing (None is among them), or by however many steps to one that does."""
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
