"""Holds and histories of tags as tables."""

import time
from collections.abc import Sequence
from itertools import pairwise

from tasks import contract
from workers.amounts import short
from workers.cli.canvas import Canvas
from workers.cli.tables import STYLES, cell, table
from workers.printable import printable


def render_holds(canvas: Canvas, holds: Sequence[contract.Hold]) -> None:
    """Draw the tags that are on hold."""
    table(
        canvas,
        ["Tag", "Since", "Why"],
        [
            [
                cell(hold.reference),
                cell(_moment(hold.since)),
                cell(hold.why if hold.by is None else f"{hold.why} ({hold.by})"),
            ]
            for hold in holds
        ],
    )
    if not holds:
        canvas.print("No tag is on hold.")


def render_history(canvas: Canvas, history: contract.History) -> None:
    """Draw the moves of a tag, and mark where someone else moved it in between."""
    table(
        canvas,
        ["Moved", "From", "To", "Action", "Source", "Push", "Undone"],
        [
            [
                cell(_moment(move.at)),
                cell(short(move.old_digest) or "new"),
                cell(short(move.new_digest)),
                cell(move.action, STYLES[move.action]),
                cell(move.source),
                cell(move.push_id),
                cell("" if move.undone is None else _moment(move.undone)),
            ]
            for move in history.moves
        ],
    )
    name = printable(history.reference)
    if not history.moves:
        canvas.print(f"No push is remembered that moved {name}.")
    for later, earlier in pairwise(history.moves):
        left = earlier.new_digest if earlier.undone is None else earlier.old_digest
        if later.old_digest != left:
            found = short(later.old_digest) or "nothing"
            canvas.print(f"Before {_moment(later.at)} someone else moved it to {found}.")


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
