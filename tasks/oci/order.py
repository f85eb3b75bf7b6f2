"""The canonical order of a merged index, which does not depend on the order of the pushes (BEHAVIOUR 4.1)."""

from collections.abc import Callable, Iterable

from tasks.oci.descriptor import Descriptor
from tasks.oci.platform import Platform
from tasks.oci.subjects import subject_of


def in_order(entries: Iterable[Descriptor], platform_of: Callable[[Descriptor], Platform | None]) -> list[Descriptor]:
    """Return images by platform, then entries without platform by digest, each followed by its referrers.

    Several images of one platform keep their order, which is the order of preference for clients. `platform_of` returns
    the normal form of a platform. Referrers of an entry that is not listed come last.
    """
    roots: list[Descriptor] = []
    referrers: dict[str, list[Descriptor]] = {}
    for entry in entries:
        subject = subject_of(entry)
        (roots if subject is None else referrers.setdefault(subject, [])).append(entry)
    ordered: list[Descriptor] = []
    # A stack: an entry's own referrers come before its next sibling.
    waiting = sorted(roots, key=lambda entry: _rank(entry, platform_of(entry)))[::-1]
    while waiting:
        entry = waiting.pop()
        ordered.append(entry)
        waiting += sorted(referrers.pop(entry.digest, []), key=lambda referrer: referrer.digest)[::-1]
    lost = (entry for of_one in referrers.values() for entry in of_one)
    return ordered + sorted(lost, key=lambda entry: entry.digest)


def _rank(entry: Descriptor, platform: Platform | None) -> tuple[bool, tuple[str, ...], str]:
    if platform is None:
        return True, (), entry.digest
    named = (platform.os, platform.architecture, platform.variant, platform.os_version, *platform.os_features)
    return False, named, ""
