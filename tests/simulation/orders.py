"""Whether what a tag holds is what some order of operations gives: linearizability of the merge of platforms. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Held = Mapping[str, str] | None


@dataclass(frozen=True)
class Operation:
    """A push, or a foreign write: it took effect once between `started` and `ended`, or not at all where it may be."""

    name: str
    started: float
    ended: float
    brings: Mapping[str, str]
    merges: bool
    may_be_absent: bool = False

    def on(self, held: Held) -> Held:
        """Return what a tag holds after it: all that is brought, and of what was there the other platforms (4.1)."""
        if not self.merges or held is None or "single" in held:
            return dict(self.brings)
        return dict(held) | dict(self.brings)

    def __str__(self) -> str:
        platforms = ", ".join(f"{platform} {digest[7:15]}" for platform, digest in self.brings.items())
        return (
            f"{self.name} [{self.started:.1f}-{self.ended:.1f}] {platforms}{' (perhaps)' if self.may_be_absent else ''}"
        )


def explains(first: Held, operations: Sequence[Operation], last: Held) -> bool:
    """Tell whether some order of `operations` leads from `first` to `last`.

    An operation that ended before another began comes first.
    """
    if not [operation for operation in operations if not operation.may_be_absent] and first == last:
        return True
    for number, operation in enumerate(operations):
        others = [*operations[:number], *operations[number + 1 :]]
        if any(other.ended < operation.started for other in others if not other.may_be_absent):
            continue
        if explains(operation.on(first), others, last):
            return True
        if operation.may_be_absent and explains(first, others, last):
            return True
    return False
