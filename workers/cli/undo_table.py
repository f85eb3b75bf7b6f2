"""The undo of a push as a table, planned or done."""

from tasks import contract
from workers.amounts import short
from workers.cli.canvas import Canvas
from workers.cli.tables import STYLES, cell, code_cell, list_faults, sum_up, table
from workers.printable import printable


def render_undo_plan(canvas: Canvas, undo: contract.Undo) -> None:
    """Draw the planned change of each tag in an undo."""
    words = {"restored": "restore", "deleted": "delete", "moved": "leave", "skipped": "keep", "failed": "fail"}
    rows = [
        [
            cell(tag.reference),
            cell(words[tag.action], STYLES[tag.action]),
            cell(short(tag.digest)),
            code_cell(tag.error),
        ]
        for tag in undo.tags
    ]
    table(canvas, ["Image", "Undo", "Digest", "Error"], rows)
    list_faults(canvas, [(tag.reference, tag.error) for tag in undo.tags])
    told = ", ".join(
        f"{number} to {word}"
        for action, word in words.items()
        if (number := sum(tag.action == action for tag in undo.tags))
    )
    canvas.print(f"Undo of push {printable(undo.push_id)}, nothing was changed: {told or 'no tag was moved'}")


def render_undo(canvas: Canvas, undo: contract.Undo) -> None:
    """Draw the outcome of an undo for each tag."""
    rows = [
        [
            cell(tag.reference),
            cell(tag.action, STYLES[tag.action]),
            cell(short(tag.digest)),
            code_cell(tag.error),
        ]
        for tag in undo.tags
    ]
    table(canvas, ["Image", "Action", "Digest", "Error"], rows)
    list_faults(canvas, [(tag.reference, tag.error) for tag in undo.tags])
    sum_up(canvas, undo.push_id, undo.state, len(undo.tags), "Undo of push")
