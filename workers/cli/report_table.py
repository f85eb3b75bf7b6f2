"""The report of a push as a table."""

from collections.abc import Iterable, Sequence

from tasks import contract
from workers.amounts import count, short, size
from workers.cli.canvas import Canvas, Words
from workers.cli.tables import STYLES, cell, code_cell, list_faults, table
from workers.printable import printable


def render_report(canvas: Canvas, report: contract.PushReport) -> None:
    """Draw the report of a push."""
    draw_images(canvas, report.items, "Action")
    list_notices(canvas, report.items, report.warnings)
    totals = report.totals
    told = (
        f" in {totals.seconds:.1f} s: {size(totals.bytes_copied)} copied; blobs: {totals.blobs_copied} copied,"
        f" {totals.blobs_mounted} mounted, {totals.blobs_skipped} skipped; {count(totals.manifests_copied, 'manifest')}"
    )
    canvas.print(Words(f"Push {printable(report.push_id)} ", (report.state, STYLES[report.state]), told))


def draw_images(canvas: Canvas, items: Iterable[contract.ItemReport], action: str) -> None:
    """Draw items with their tags; `action` is the header of the column of actions."""
    rows = []
    faults: list[tuple[str, contract.Fault | None]] = []
    for item in items:
        rows.append(
            [
                cell(item.source, "bold"),
                cell(item.kind),
                cell(short(item.digest)),
                cell(""),
                cell(""),
                code_cell(item.error),
            ]
        )
        for tag in item.tags:
            rows.append(
                [
                    cell(f"  {tag.reference}"),
                    cell(tag.action, STYLES[tag.action]),
                    cell(_change(tag)),
                    cell(", ".join(tag.kept_platforms)),
                    cell(_referrers(tag)),
                    code_cell(tag.error),
                ]
            )
            faults.append((tag.reference, tag.error))
        if item.error is not None and item.error not in [tag.error for tag in item.tags]:
            faults.append((item.source, item.error))
    table(canvas, ["Image", action, "Digest", "Kept", "Referrers", "Error"], rows)
    list_faults(canvas, faults)


def list_notices(canvas: Canvas, items: Iterable[contract.ItemReport], warnings: Sequence[str]) -> None:
    """Print the warnings of tags, then the warnings of the push."""
    told = [(f"{tag.reference}: ", notice.message) for item in items for tag in item.tags for notice in tag.warnings]
    told += [("", warning) for warning in warnings]
    for name, message in told:
        canvas.print(Words(("Warning ", "yellow"), printable(f"{name}{message}")))
    if told:
        canvas.print()


def _referrers(tag: contract.TagReport) -> str:
    number, left = sum(tag.referrers.values()), len(tag.referrers_left)
    return ", ".join(filter(None, [f"{number}" if number else "", f"{left} left" if left else ""]))


def _change(tag: contract.TagReport) -> str:
    if tag.old_digest == tag.new_digest:
        return short(tag.old_digest)
    return f"{short(tag.old_digest) or 'new':<12} → {short(tag.new_digest) or '?'}"
