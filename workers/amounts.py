"""Digests, sizes and counts in readable form. Pure."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks import contract

_SHORT = 12
_STEP = 1024


def short(digest: str | None) -> str:
    """Return the first 12 digits of a digest; "" for none."""
    return "" if digest is None else digest.partition(":")[2][:_SHORT]


def size(amount: float) -> str:
    """Return a number of bytes in a suitable binary unit (powers of 1024)."""
    if amount < _STEP:
        return f"{amount:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        amount /= _STEP
        if amount < _STEP:
            return f"{amount:.1f} {unit}"
    return f"{amount / _STEP:.1f} TiB"


def age(seconds: float) -> str:
    """Return a duration in its largest unit, such as 5 min."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def count(number: int, noun: str) -> str:
    """Return a number with its noun, singular or plural."""
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}es" if noun.endswith("sh") else f"{noun}s"
    return f"{number} {noun if number == 1 else many}"


def progress_of(push: "contract.Progress") -> tuple[int, int, int]:
    """Return the bytes done, the total bytes and the number of ended copies."""
    copies = push.copies
    return sum(copy.done for copy in copies), sum(copy.total for copy in copies), sum(copy.ended for copy in copies)


def told_progress(push: "contract.Progress") -> str:
    """Return how many copies, bytes and tags of a push are done."""
    done, total, ended = progress_of(push)
    # The sizes are known when the manifests are read.
    moved = f"{size(done)} of {size(total)}, " if total else ""
    copies = f"{ended} of {len(push.copies)} copies, {moved}" if push.copies else ""
    return f"{copies}{push.tags_done} of {count(push.tags, 'tag')}"
