"""The protective tags that pushes share."""

from typing import Final, Protocol

# Stands among the pushes that need a protective tag if a push that made the tag left it to the others.
LEFT: Final = ""


class Protections(Protocol):
    """The pushes that need each protective tag: two pushes that merge the same images share one (BEHAVIOUR 4.8)."""

    def note_need(self, reference: str, push_id: str) -> None:
        """Note that a push needs a protective tag."""
        ...

    def drop_need(self, reference: str, push_id: str) -> None:
        """Note that a push needs a protective tag no longer."""
        ...

    def needs(self, reference: str) -> set[str]:
        """Return the pushes that need a protective tag, and LEFT if one that made it left it to them."""
        ...
