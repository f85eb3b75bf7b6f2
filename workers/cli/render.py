"""Results as tables for people, and as JSON for programs."""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, TextIO, TypeVar

from tasks import contract
from workers.amounts import count, short, size
from workers.cli.canvas import Canvas, Plain, Words
from workers.cli.output import emit, is_terminal, result_stream
from workers.printable import printable

Result = TypeVar("Result")
STYLES: Final = {
    "copied": "green", "merged": "cyan", "restored": "green", "deleted": "green", "verified": "green",
    "succeeded": "green", "unchanged": "dim", "skipped": "yellow", "partial": "yellow", "moved": "yellow",
    "failed": "red", "broken": "red", "refused": "red", "interrupted": "yellow", "cancelled": "yellow",
    "waiting": "yellow", "rolled_back": "yellow",
}  # fmt: skip


def show(result: Result, draw: Callable[[Canvas, Result], None]) -> None:
    """Render a result with `draw` and write it to stdout."""
    emit(f"{drawn(result, draw, result_stream())}\n")


def drawn(result: Result, draw: Callable[[Canvas, Result], None], stream: TextIO | None) -> str:
    """Return a result rendered with `draw` for one stream; only a terminal limits the width (columns)."""
    if stream is None or not is_terminal(stream):
        plain = Plain()
        draw(plain, result)
        return "\n".join(plain.lines)
    from rich.console import Console, ConsoleDimensions

    from workers.cli.screen import Screen

    console = Console(highlight=False, file=stream)
    if console.is_dumb_terminal:
        # rich takes each of them to have 80 columns.
        with suppress(OSError):
            console.size = ConsoleDimensions(*os.get_terminal_size(stream.fileno()))
    with console.capture() as captured:
        draw(Screen(console), result)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def render_report(canvas: Canvas, report: contract.PushReport) -> None:
    """Draw the report of a push."""
    _images(canvas, report.items, "Action")
    _notices(canvas, report.items, report.warnings)
    totals = report.totals
    told = (
        f" in {totals.seconds:.1f} s: {size(totals.bytes_copied)} copied; blobs: {totals.blobs_copied} copied,"
        f" {totals.blobs_mounted} mounted, {totals.blobs_skipped} skipped; {count(totals.manifests_copied, 'manifest')}"
    )
    canvas.print(Words(f"Push {printable(report.push_id)} ", (report.state, STYLES[report.state]), told))


def render_preview(canvas: Canvas, preview: contract.Preview) -> None:
    """Draw the preview of a push."""
    _images(canvas, preview.items, "Plan")
    # The warnings of the request itself were written before.
    _notices(canvas, preview.items, [])
    rows = [
        [
            cell(short(copy.digest)),
            cell(copy.platform),
            cell(repository.repository),
            cell("" if repository.error else "there already" if repository.present else _moves(repository)),
            _code(repository.error),
        ]
        for copy in preview.copies
        for repository in copy.repositories
    ]
    table(canvas, ["Copy", "Platform", "Repository", "Blobs", "Error"], rows)
    all_copies = [(copy.digest, repository) for copy in preview.copies for repository in copy.repositories]
    _faults(canvas, [(f"{digest} into {there.repository}", there.error) for digest, there in all_copies])
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


def render_fault(canvas: Canvas, fault: contract.Fault) -> None:
    """Draw one error in full."""
    canvas.print(Words(("Error ", "red"), (f"[{printable(fault.code)}] ", "bold red"), printable(fault.message)))


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
                _code(tag.error),
            ]
        )
    table(canvas, ["Image", "Result", "Expected", "Found", "Missing", "Error"], rows)
    _faults(canvas, [(tag.reference, tag.error) for tag in verification.tags])
    if not verification.tags:
        canvas.print(f"There is nothing to verify: no tag of push {printable(verification.push_id)} succeeded.")
        return
    _sum_up(canvas, verification.push_id, verification.state, len(verification.tags))


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
                _code(each.error),
            ]
        )
    table(canvas, ["Image", "Receipt", "Digest", "Source", "Producer", "Time", "Attached as", "Error"], rows)
    _faults(canvas, [(each.reference, each.error) for each in receipts.receipts])
    if not receipts.receipts:
        canvas.print(f"There is no receipt: push {printable(receipts.push_id)} moved no tag.")
        return
    _sum_up(canvas, receipts.push_id, receipts.state, len(receipts.receipts), "Receipts of push")


def render_undo_plan(canvas: Canvas, undo: contract.Undo) -> None:
    """Draw the planned change of each tag in an undo."""
    words = {"restored": "restore", "deleted": "delete", "moved": "leave", "skipped": "keep", "failed": "fail"}
    rows = [
        [
            cell(tag.reference),
            cell(words[tag.action], STYLES[tag.action]),
            cell(short(tag.digest)),
            _code(tag.error),
        ]
        for tag in undo.tags
    ]
    table(canvas, ["Image", "Undo", "Digest", "Error"], rows)
    _faults(canvas, [(tag.reference, tag.error) for tag in undo.tags])
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
            _code(tag.error),
        ]
        for tag in undo.tags
    ]
    table(canvas, ["Image", "Action", "Digest", "Error"], rows)
    _faults(canvas, [(tag.reference, tag.error) for tag in undo.tags])
    _sum_up(canvas, undo.push_id, undo.state, len(undo.tags), "Undo of push")


def _images(canvas: Canvas, items: Iterable[contract.ItemReport], action: str) -> None:
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
                _code(item.error),
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
                    _code(tag.error),
                ]
            )
            faults.append((tag.reference, tag.error))
        if item.error is not None and item.error not in [tag.error for tag in item.tags]:
            faults.append((item.source, item.error))
    table(canvas, ["Image", action, "Digest", "Kept", "Referrers", "Error"], rows)
    _faults(canvas, faults)


def _referrers(tag: contract.TagReport) -> str:
    number, left = sum(tag.referrers.values()), len(tag.referrers_left)
    return ", ".join(filter(None, [f"{number}" if number else "", f"{left} left" if left else ""]))


def _notices(canvas: Canvas, items: Iterable[contract.ItemReport], warnings: Sequence[str]) -> None:
    """Print the warnings of tags, then the warnings of the push."""
    told = [(f"{tag.reference}: ", notice.message) for item in items for tag in item.tags for notice in tag.warnings]
    told += [("", warning) for warning in warnings]
    for name, message in told:
        canvas.print(Words(("Warning ", "yellow"), printable(f"{name}{message}")))
    if told:
        canvas.print()


def _change(tag: contract.TagReport) -> str:
    if tag.old_digest == tag.new_digest:
        return short(tag.old_digest)
    return f"{short(tag.old_digest) or 'new':<12} → {short(tag.new_digest) or '?'}"


def _moves(there: contract.RepositoryPreview) -> str:
    return (
        f"{there.blobs_copied} to copy ({size(there.bytes_copied)}), {there.blobs_mounted} to mount,"
        f" {there.blobs_skipped} there already"
    )


def _sum_up(canvas: Canvas, push_id: str, state: str, tags: int, subject: str = "Push") -> None:
    canvas.print(Words(f"{subject} {printable(push_id)} ", (state, STYLES[state]), f": {count(tags, 'tag')}"))


def cell(text: str | None, style: str = "") -> Words:
    """Return text for a cell of a table."""
    return Words((printable(text or ""), style))


def _code(fault: contract.Fault | None) -> Words:
    return cell(fault.code if fault is not None else None, "red")


def table(canvas: Canvas, headers: Sequence[str], rows: Sequence[Sequence[Words]]) -> None:
    """Draw rows without empty columns, and an empty line after them."""
    if not rows:
        return
    shown = [column for column in range(len(headers)) if any(row[column].plain for row in rows)]
    canvas.table([headers[column] for column in shown], [[row[column] for column in shown] for row in rows])
    canvas.print()


def _faults(canvas: Canvas, faults: Iterable[tuple[str, contract.Fault | None]]) -> None:
    """Print each fault once, in full, with everything that it affects."""
    befallen: dict[tuple[str, str], list[str]] = {}
    for name, fault in faults:
        if fault is not None:
            befallen.setdefault((fault.code, fault.message), []).append(name)
    for (code, message), names in befallen.items():
        harmless = contract.is_harmless(contract.Fault(code, message))
        head = ("Skipped ", "yellow") if harmless else ("Error ", "red")
        canvas.print(Words(head, (f"[{printable(code)}] ", f"bold {head[1]}"), printable(message)))
        for name in dict.fromkeys(names):
            canvas.print(f"  {printable(name)}")
    if befallen:
        canvas.print()
