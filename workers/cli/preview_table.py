"""The preview of a push as tables: its tags, then its copies."""

from tasks import contract
from workers.amounts import count, short, size
from workers.cli.canvas import Canvas
from workers.cli.report_table import draw_images, list_notices
from workers.cli.tables import cell, code_cell, list_faults, table


def render_preview(canvas: Canvas, preview: contract.Preview) -> None:
    """Draw the preview of a push."""
    draw_images(canvas, preview.items, "Plan")
    # The warnings of the request itself were written before.
    list_notices(canvas, preview.items, [])
    rows = [
        [
            cell(short(copy.digest)),
            cell(copy.platform),
            cell(repository.repository),
            cell("" if repository.error else "there already" if repository.present else _moves(repository)),
            code_cell(repository.error),
        ]
        for copy in preview.copies
        for repository in copy.repositories
    ]
    table(canvas, ["Copy", "Platform", "Repository", "Blobs", "Error"], rows)
    all_copies = [(copy.digest, repository) for copy in preview.copies for repository in copy.repositories]
    list_faults(canvas, [(f"{digest} into {there.repository}", there.error) for digest, there in all_copies])
    total = contract.RepositoryPreview(
        repository="",
        blobs_copied=sum(there.blobs_copied for _, there in all_copies),
        blobs_mounted=sum(there.blobs_mounted for _, there in all_copies),
        blobs_skipped=sum(there.blobs_skipped for _, there in all_copies),
        bytes_copied=sum(there.bytes_copied for _, there in all_copies),
    )
    tags = ["older" if contract.is_harmless(tag.error) else tag.action for item in preview.items for tag in item.tags]
    failures = "".join(
        f"; {tags.count(action)} of {count(len(tags), 'tag')} would {verb}"
        for action, verb in (("failed", "fail"), ("skipped", "be withheld"), ("older", "stay, being newer"))
        if action in tags
    )
    canvas.print(
        f"Dry run, nothing was written. A push would move {size(total.bytes_copied)}; blobs: {_moves(total)}{failures}"
    )


def _moves(there: contract.RepositoryPreview) -> str:
    return (
        f"{there.blobs_copied} to copy ({size(there.bytes_copied)}), {there.blobs_mounted} to mount,"
        f" {there.blobs_skipped} there already"
    )
