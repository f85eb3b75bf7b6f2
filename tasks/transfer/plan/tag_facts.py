"""The facts about tags on which their conditions depend (BEHAVIOUR 10.4)."""

from typing import Protocol

from tasks import contract


class TagFacts(Protocol):
    """The facts that pushes and operators recorded about tags; all methods raise StateUnavailable."""

    def hold_of(self, reference: str) -> contract.Hold | None:
        """Return the hold on a tag."""
        ...

    def source_of(self, reference: str, digest: str) -> str | None:
        """Return the source of the last push that moved a tag to a digest, None if none is remembered."""
        ...


class NoFacts:
    """A record without any fact."""

    def hold_of(self, reference: str) -> contract.Hold | None:
        del reference
        return None

    def source_of(self, reference: str, digest: str) -> str | None:
        del reference, digest
        return None
