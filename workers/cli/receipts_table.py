"""The receipts of a push as a table."""

from tasks import contract
from workers.amounts import short
from workers.cli.canvas import Canvas
from workers.cli.tables import STYLES, cell, code_cell, list_faults, sum_up, table
from workers.printable import printable


def render_receipts(canvas: Canvas, receipts: contract.Receipts) -> None:
    """Draw the receipts of a push, what each of them says, and whether it holds."""
    rows = []
    for each in receipts.receipts:
        said = (each.statement or {}).get("predicate", {})
        verdict = "broken" if each.error else "verified"
        rows.append(
            [
                cell(each.reference),
                cell(verdict, STYLES[verdict]),
                cell(short(said.get("newDigest"))),
                cell(said.get("source")),
                cell(said.get("producer")),
                cell(said.get("time")),
                cell("" if each.digest is None else short(each.digest) if each.attached else "in the ledger alone"),
                code_cell(each.error),
            ]
        )
    table(canvas, ["Image", "Receipt", "Digest", "Source", "Producer", "Time", "Attached as", "Error"], rows)
    list_faults(canvas, [(each.reference, each.error) for each in receipts.receipts])
    if not receipts.receipts:
        canvas.print(f"There is no receipt: push {printable(receipts.push_id)} moved no tag.")
        return
    sum_up(canvas, receipts.push_id, receipts.state, len(receipts.receipts), "Receipts of push")
