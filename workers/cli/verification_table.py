"""The verification of a push as a table."""

from tasks import contract
from workers.amounts import short
from workers.cli.canvas import Canvas
from workers.cli.tables import STYLES, cell, code_cell, list_faults, sum_up, table
from workers.printable import printable


def render_verification(canvas: Canvas, verification: contract.Verification) -> None:
    """Draw a comparison of a push's report with the destination."""
    rows = []
    for tag in verification.tags:
        same = tag.found_digest == tag.expected_digest
        verdict = "failed" if tag.error else "verified" if same and not tag.missing else "broken"
        found = short(tag.found_digest) if tag.found_digest else "absent"
        rows.append(
            [
                cell(tag.reference),
                cell(verdict, STYLES[verdict]),
                cell(short(tag.expected_digest)),
                cell("" if tag.error else "same" if same else found),
                cell(", ".join(tag.missing), "red"),
                code_cell(tag.error),
            ]
        )
    table(canvas, ["Image", "Result", "Expected", "Found", "Missing", "Error"], rows)
    list_faults(canvas, [(tag.reference, tag.error) for tag in verification.tags])
    if not verification.tags:
        canvas.print(f"There is nothing to verify: no tag of push {printable(verification.push_id)} succeeded.")
        return
    sum_up(canvas, verification.push_id, verification.state, len(verification.tags))
