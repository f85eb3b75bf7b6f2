"""The data for the page of one tag, read from the ledger."""

import msgspec

from tasks import contract
from tasks.transfer.ports import Intervention, PageLedger
from workers.page.holds import HoldAction, possible_holds, tag_name


class TagDetails(msgspec.Struct, frozen=True, kw_only=True):
    """One tag, with its moves by pushes, the newest first."""

    reference: str
    moves: list[contract.Move]
    hold: contract.Hold | None
    actions: list[HoldAction]
    interventions: list[Intervention]


def read_tag(ledger: PageLedger, reference: str) -> TagDetails:
    """Return the details of a tag; a tag that no push moved has no moves; an invalid name cannot be held."""
    name = tag_name(reference)
    hold = None if name is None else ledger.hold_of(name)
    return TagDetails(
        reference=name or reference,
        moves=ledger.history(name or reference).moves,
        hold=hold,
        actions=[] if name is None else possible_holds([name], [] if hold is None else [name]),
        interventions=[] if name is None else ledger.tag_interventions(name),
    )
