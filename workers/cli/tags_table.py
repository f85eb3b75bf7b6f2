"""Holds and histories of tags as tables."""

import time
from collections.abc import Sequence
from operator import itemgetter

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
    for place, move in enumerate(history.moves[:-1], start=1):
        if move.old_digest != _left_by(history.moves[place:], move.at):
            found = short(move.old_digest) or "nothing"
            canvas.print(f"Before {_moment(move.at)} someone else moved it to {found}.")


def _left_by(moves: Sequence[contract.Move], moment: float) -> str | None:
    """Return what a tag held at a moment after these moves, had nobody else moved it; later undos do not count yet."""
    moved = [(move.at, move.new_digest) for move in moves]
    undone = [(move.undone, move.old_digest) for move in moves if move.undone is not None and move.undone < moment]
    _, digest = max([*moved, *undone], key=itemgetter(0))
    return digest


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
