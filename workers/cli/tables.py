"""The parts of every table of results: cells, faults below the table, the last line."""

from collections.abc import Iterable, Sequence
from typing import Final

from tasks import contract
from workers.amounts import count
from workers.cli.canvas import Canvas, Words
from workers.printable import printable

STYLES: Final = {
    "copied": "green", "merged": "cyan", "restored": "green", "deleted": "green", "verified": "green",
    "succeeded": "green", "unchanged": "dim", "skipped": "yellow", "partial": "yellow", "moved": "yellow",
    "failed": "red", "broken": "red", "refused": "red", "interrupted": "yellow", "cancelled": "yellow",
    "waiting": "yellow", "rolled_back": "yellow",
}  # fmt: skip


def cell(text: str | None, style: str = "") -> Words:
    """Return text for a cell of a table."""
    return Words((printable(text or ""), style))


def code_cell(fault: contract.Fault | None) -> Words:
    """Return the cell of an error's code."""
    return cell(fault.code if fault is not None else None, "red")


def table(canvas: Canvas, headers: Sequence[str], rows: Sequence[Sequence[Words]]) -> None:
    """Draw rows without empty columns, and an empty line after them."""
    if not rows:
        return
    shown = [column for column in range(len(headers)) if any(row[column].plain for row in rows)]
    canvas.table([headers[column] for column in shown], [[row[column] for column in shown] for row in rows])
    canvas.print()


def list_faults(canvas: Canvas, faults: Iterable[tuple[str, contract.Fault | None]]) -> None:
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


def render_fault(canvas: Canvas, fault: contract.Fault) -> None:
    """Draw one error in full."""
    canvas.print(Words(("Error ", "red"), (f"[{printable(fault.code)}] ", "bold red"), printable(fault.message)))


def sum_up(canvas: Canvas, push_id: str, state: str, tags: int, subject: str = "Push") -> None:
    """Print the last line: the state of a push, and its number of tags."""
    canvas.print(Words(f"{subject} {printable(push_id)} ", (state, STYLES[state]), f": {count(tags, 'tag')}"))
