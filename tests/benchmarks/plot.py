"""The figures as a picture: wall time of each peer, a panel for each workload."""

from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.peers import OURS
from tests.benchmarks.report import Figures
from tests.benchmarks.workloads import WORKLOADS

_COLUMNS = 3
_OURS, _WORKERS, _OTHERS = "#1f6f8b", "#7fb7be", "#b9b9b9"


def plot(figures: Sequence[Figures], path: Path) -> None:
    """Write a PNG; raises ImportError where matplotlib (the extra `bench`) is missing."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(each.workload for each in figures))
    columns = min(_COLUMNS, len(names))
    lines = -(-len(names) // columns)
    canvas, axes = plt.subplots(
        lines, columns, figsize=(5 * columns, 0.8 + 2.4 * lines), squeeze=False, layout="constrained"
    )
    for panel in axes.flat:
        panel.set_visible(False)
    for panel, name in zip(axes.flat, names, strict=False):
        panel.set_visible(True)
        shown = [each for each in figures if each.workload == name]
        panel.barh(
            [each.peer for each in shown],
            [each.wall for each in shown],
            xerr=[[each.wall - each.lowest for each in shown], [each.highest - each.wall for each in shown]],
            color=[_color(each.peer) for each in shown],
            ecolor="#555555",
            capsize=2,
        )
        panel.bar_label(panel.containers[-1], [f" {each.wall:.2f}" for each in shown], fontsize=8, padding=6)
        panel.set_title(f"{name}: {WORKLOADS[name].title}", fontsize=8, wrap=True)
        panel.invert_yaxis()
        panel.margins(x=0.2)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    canvas.supxlabel("wall seconds of whole commands, medians; bars span all rounds", fontsize=9)
    canvas.savefig(path, dpi=120)
    plt.close(canvas)


def _color(peer: str) -> str:
    if peer == OURS:
        return _OURS
    return _WORKERS if "worker" in peer else _OTHERS
