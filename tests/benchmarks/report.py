"""From samples to figures, and from figures to a table: pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.benchmarks.peers import OURS
from tests.benchmarks.rounds import Row
from tests.benchmarks.workloads import MEBIBYTE, WORKLOADS, Workload

_GIBIBYTE: Final = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The medians of one row, of whole commands; `start` is what interpreter and imports take of them (ours)."""

    workload: str
    peer: str
    wall: float
    lowest: float
    highest: float
    cpu: float
    start: float | None
    start_cpu: float | None
    peak_bytes: int
    requests_a: int
    requests_b: int
    ratio: float | None
    note: str


def figures_of(rows: Sequence[Row]) -> list[Figures]:
    """Return the figures of all rows that have samples; ratios are to the best peer of the same workload."""
    best: dict[str, float] = {}
    for row in rows:
        if row.samples and row.peer != OURS and "worker" not in row.peer:
            wall = statistics.median(sample.wall for sample in row.samples)
            best[row.workload] = min(wall, best.get(row.workload, wall))
    return [_figures(row, best.get(row.workload)) for row in rows if row.samples]


def _figures(row: Row, best: float | None) -> Figures:
    walls = [sample.wall for sample in row.samples]
    cpu = statistics.median(sample.cpu for sample in row.samples)
    wall = statistics.median(walls)
    return Figures(
        workload=row.workload,
        peer=row.peer,
        wall=wall,
        lowest=min(walls),
        highest=max(walls),
        cpu=cpu,
        start=statistics.median(start.wall for start in row.starts) if row.starts else None,
        start_cpu=statistics.median(start.cpu for start in row.starts) if row.starts else None,
        peak_bytes=max(sample.peak_bytes for sample in row.samples),
        requests_a=sum(row.requests.get("A", {}).values()),
        requests_b=sum(row.requests.get("B", {}).values()),
        ratio=wall / best if best else None,
        note=row.note,
    )


def table(rows: Sequence[Row], figures: Sequence[Figures], startup: dict[str, Any]) -> str:
    """Return all figures as text, a block for each workload, and what did not run with the reason."""
    start = (
        f"start of {OURS}: interpreter and imports {startup['imports']['wall']:.2f} s"
        f" ({startup['imports']['cpu']:.2f} s CPU, {startup['modules']} modules), --version"
        f" {startup['version']['cpu']:.2f} s CPU, a push of next to nothing {startup['idle']['wall']:.2f} s"
        f" ({startup['idle']['cpu']:.2f} s CPU)"
    )
    lines = [start]
    for name in dict.fromkeys([*(each.workload for each in figures), *(row.workload for row in rows)]):
        workload = WORKLOADS[name]
        lines += ["", f"{name}  {workload.title}", _HEAD]
        lines += [_line(each, workload) for each in figures if each.workload == name]
        lines += [f"{row.peer:<12} {row.note}" for row in rows if row.workload == name and not row.samples]
    return "\n".join(lines)


_COLUMNS: Final = {
    "wall s": 8,
    "spread": 14,
    "ratio": 7,
    "CPU s": 8,
    "CPU/GiB": 9,
    "start s": 9,
    "its CPU": 9,
    "peak MiB": 10,
    "at A": 8,
    "at B": 8,
    "B/tag": 8,
}
_HEAD: Final = " " * 12 + "".join(name.rjust(width) for name, width in _COLUMNS.items())


def _line(each: Figures, workload: Workload) -> str:
    gibibytes = workload.content_bytes / _GIBIBYTE
    cells = (
        f"{each.wall:.2f}",
        f"{each.lowest:.2f}-{each.highest:.2f}",
        f"{each.ratio:.2f}" if each.ratio is not None else "-",
        f"{each.cpu:.2f}",
        f"{each.cpu / gibibytes:.2f}",
        _seconds(each.start),
        _seconds(each.start_cpu),
        f"{each.peak_bytes / MEBIBYTE:.0f}",
        f"{each.requests_a}",
        f"{each.requests_b}",
        f"{each.requests_b / workload.tags:.1f}",
    )
    row = "".join(cell.rjust(width) for cell, width in zip(cells, _COLUMNS.values(), strict=True))
    return f"{each.peer:<12}{row}  {each.note}".rstrip()


def _seconds(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.2f}"
