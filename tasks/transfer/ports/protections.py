"""The protective tags that pushes share."""

from typing import Protocol


class Protections(Protocol):
    """The pushes that need each protective tag: two pushes that merge the same images share one (BEHAVIOUR 4.8)."""

    def note_need(self, reference: str, push_id: str) -> None:
        """Note that a push needs a protective tag."""
        ...

    def drop_need(self, reference: str, push_id: str) -> None:
        """Note that a push needs a protective tag no longer."""
        ...

    def needs(self, reference: str) -> set[str]:
        """Return the pushes that need a protective tag."""
        ...
