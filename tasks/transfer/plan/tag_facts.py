"""The facts about tags on which their conditions depend (BEHAVIOUR 10.1, 10.4)."""

from typing import Protocol

import msgspec

from tasks import contract


class TagRelease(msgspec.Struct, frozen=True):
    """The last release noted at a tag, with its direction; `has_ended` is True if its push ended or was undone."""

    push_id: str
    name: str
    direction: str | None
    has_ended: bool = False

    @property
    def is_under_way(self) -> bool:
        """Whether the release may put back what the tag holds."""
        return not self.has_ended and self.direction not in {None, "again", "never", "stands"}

    @property
    def is_still(self) -> bool:
        """Whether what the tag holds stays for as long as this record does."""
        return self.has_ended or self.direction in {None, "never", "stands"}


class TagFacts(Protocol):
    """The facts that pushes and operators recorded about tags; all methods raise StateUnavailable."""

    def hold_of(self, reference: str) -> contract.Hold | None:
        """Return the hold on a tag."""
        ...

    def source_of(self, reference: str, digest: str) -> str | None:
        """Return the source of the last push that moved a tag to a digest, None if none is remembered."""
        ...

    def release_at(self, reference: str) -> TagRelease | None:
        """Return the release that was noted last at a tag, None if none is remembered."""
        ...


class NoFacts:
    """A record without any fact."""

    def hold_of(self, reference: str) -> contract.Hold | None:
        del reference
        return None

    def source_of(self, reference: str, digest: str) -> str | None:
        del reference, digest
        return None

    def release_at(self, reference: str) -> TagRelease | None:
        del reference
        return None
