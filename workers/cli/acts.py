"""The record of what people do by commands; the page shows it beside what they do there."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

import msgspec

from tasks.errors import ImagePusherError, StateFolderUnusable, StateUnavailable
from tasks.transfer.ports import Intervention
from workers.people import this_person

if TYPE_CHECKING:
    from tasks.transfer.ports import Ledger


def note_act(ledger: "Ledger", push_id: str, action: Literal["retry", "cancel"], outcome: str) -> None:
    """Record an action on a push."""
    ledger.note_intervention(push_id, _by_me(action, outcome))


def note_tag_act(ledger: "Ledger", reference: str, action: Literal["hold", "release-hold"], outcome: str) -> None:
    """Record an action on a tag."""
    ledger.note_tag_intervention(reference, _by_me(action, outcome))


@contextmanager
def recorded_undo(ledger: "Ledger", push_id: str) -> Iterator[Callable[[str], None]]:
    """Record an undo before it begins; the block tells how it ended."""
    begun = _by_me("undo", "")
    ledger.note_intervention(push_id, begun)

    def end(outcome: str) -> None:
        # What was done is done, also where it cannot be recorded.
        with suppress(StateUnavailable, StateFolderUnusable):
            ledger.note_intervention(push_id, msgspec.structs.replace(begun, outcome=outcome))

    try:
        yield end
    except ImagePusherError as error:
        end(f"failed: [{error.code}] {error}")
        raise


def _by_me(action: Literal["retry", "undo", "cancel", "hold", "release-hold"], outcome: str) -> Intervention:
    return Intervention(action=action, user=this_person(), at=time.time(), outcome=outcome)
