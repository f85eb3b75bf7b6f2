"""Tags across pushes: their holds and their moves."""

from typing import Protocol

from tasks import contract
from tasks.transfer.plan.tag_facts import TagFacts


class TagHolds(TagFacts, Protocol):
    """Tags that operators froze, by their full name; holds do not expire."""

    def hold(self, reference: str, why: str, by: str | None = None) -> contract.Hold:
        """Freeze a tag for a user, or change the reason of its hold."""
        ...

    def release_hold(self, reference: str) -> contract.Hold | None:
        """Let a tag move again; return its hold, None if there was none."""
        ...

    def holds(self) -> list[contract.Hold]:
        """Return all holds, the oldest first."""
        ...


class Moves(TagFacts, Protocol):
    """The moves of each tag by pushes; they are kept at least as long as the pushes."""

    def note_move(self, reference: str, move: contract.Move) -> None:
        """Note a move; a repeat changes nothing."""
        ...

    def note_undone(self, reference: str, push_id: str) -> None:
        """Note that the moves of a tag by a push were taken back."""
        ...

    def history(self, reference: str) -> contract.History:
        """Return the moves of a tag."""
        ...
