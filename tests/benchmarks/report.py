"""From samples to figures, and from figures to a table: pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.benchmarks.peers import OURS
from tests.benchmarks.rounds import Row
from tests.benchmarks.workloads import MEBIBYTE, WORKLOADS

_GIBIBYTE: Final = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The medians of one row; `net` is `wall` without interpreter and imports, where they count (ours)."""

    workload: str
    peer: str
    wall: float
    net: float
    lowest: float
    highest: float
    cpu: float
    cpu_per_gibibyte: float
    peak_bytes: int
    requests_a: int
    requests_b: int
    ratio: float | None
    note: str


def figures_of(rows: Sequence[Row], startup: dict[str, Any]) -> list[Figures]:
    """Return the figures of all rows that have samples; ratios are to the best peer of the same workload."""
    best: dict[str, float] = {}
    for row in rows:
        if row.samples and row.peer != OURS and "worker" not in row.peer:
            wall = statistics.median(sample.wall for sample in row.samples)
            best[row.workload] = min(wall, best.get(row.workload, wall))
    return [_figures(row, best.get(row.workload), startup) for row in rows if row.samples]


def _figures(row: Row, best: float | None, startup: dict[str, Any]) -> Figures:
    walls = [sample.wall for sample in row.samples]
    cpu = statistics.median(sample.cpu for sample in row.samples)
    wall = statistics.median(walls)
    net = wall - startup["imports"]["wall"] if row.peer == OURS else wall
    return Figures(
        workload=row.workload,
        peer=row.peer,
        wall=wall,
        net=net,
        lowest=min(walls),
        highest=max(walls),
        cpu=cpu,
        cpu_per_gibibyte=cpu / (WORKLOADS[row.workload].content_bytes / _GIBIBYTE),
        peak_bytes=max(sample.peak_bytes for sample in row.samples),
        requests_a=sum(row.requests.get("A", {}).values()),
        requests_b=sum(row.requests.get("B", {}).values()),
        ratio=net / best if best else None,
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
    for name in dict.fromkeys(row.workload for row in rows):
        workload = WORKLOADS[name]
        lines += ["", f"{name}  {workload.title}", _HEAD]
        lines += [_line(each, workload.tags) for each in figures if each.workload == name]
        lines += [f"{row.peer:<12} {row.note}" for row in rows if row.workload == name and not row.samples]
    return "\n".join(lines)


_HEAD: Final = (
    f"{'':<12}{'wall s':>8}{'spread':>14}{'net s':>8}{'ratio':>7}{'CPU s':>8}{'CPU/GiB':>9}{'peak MiB':>9}"
    f"{'at A':>8}{'at B':>8}{'B/tag':>8}"
)


def _line(each: Figures, tags: int) -> str:
    spread = f"{each.lowest:.2f}-{each.highest:.2f}"
    ratio = f"{each.ratio:.2f}" if each.ratio is not None else "-"
    return (
        f"{each.peer:<12}{each.wall:>8.2f}{spread:>14}{each.net:>8.2f}{ratio:>7}{each.cpu:>8.2f}"
        f"{each.cpu_per_gibibyte:>9.2f}{each.peak_bytes / MEBIBYTE:>9.0f}{each.requests_a:>8}{each.requests_b:>8}"
        f"{each.requests_b / tags:>8.1f}  {each.note}"
    ).rstrip()
