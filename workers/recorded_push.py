"""A push in the ledger, with the outcome of its tags."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tasks import contract
from tasks.transfer.request.outline import outlined

if TYPE_CHECKING:
    from tasks.transfer.ports import RememberedLedger, UndoState

_UNDONE: Final = {
    "begun": "being undone",
    "succeeded": "undone",
    "partial": "partly undone",
    "failed": "undo failed",
}


@dataclass(frozen=True)
class Remembered:
    """A push and its outcome; `tags_done` are the tags that did not fail, `outline` names the images.

    `producer` sent it, None for an operator, or if nobody signs.
    """

    progress: contract.Progress
    tags_done: int
    outline: dict[str, Any]
    producer: str | None = None
    undo: "UndoState | None" = None
    cancelled: bool = False

    @property
    def state(self) -> str:
        """The state in one or two words."""
        if self.undo is not None:
            return _UNDONE[self.undo]
        ended = self.progress.state in contract.ENDED
        return ("cancelled" if ended else "being cancelled") if self.cancelled else self.progress.state


def remember(ledger: "RememberedLedger", push: contract.Progress) -> Remembered:
    """Read the columns of the table that the progress does not have."""
    report = None if push.state == "succeeded" else ledger.report(push.push_id)
    done = push.tags_done
    if report is not None:
        done = sum(not contract.is_failure(tag) for item in report.items for tag in item.tags)
    sources = [str(source) for source, _ in outlined(ledger.request(push.push_id))]
    return Remembered(
        push,
        tags_done=done,
        outline={"source": sources[0] if sources else None, "images": len(sources)},
        producer=ledger.producer(push.push_id),
        undo=ledger.undo_state(push.push_id),
        cancelled=ledger.is_cancelled(push.push_id),
    )
