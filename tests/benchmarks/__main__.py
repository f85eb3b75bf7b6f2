"""The benchmark: `python -m tests.benchmarks`; tests/benchmarks/run sets up what it needs first."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from tests.benchmarks.fleet import run_fleets
from tests.benchmarks.measuring import RunFailedError
from tests.benchmarks.peers import OURS, PEERS, Peer, commit
from tests.benchmarks.plot import plot
from tests.benchmarks.report import Figures, figures_of, table
from tests.benchmarks.rounds import Row, run_rounds
from tests.benchmarks.startup import Startup
from tests.benchmarks.workloads import WORKLOADS

# Workloads whose distributed figures are asked for, and the numbers of workers.
_FLEETS = {"W1": (1,), "W2": (1,), "W3": (1,), "W6": (1, 2, 4, 8), "W8": (2,), "W8s": (2,)}
_STARTS = 5
_BUSY = 1.0


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments say, and return the exit code."""
    chosen = _parse(arguments)
    chosen.output.mkdir(parents=True, exist_ok=True)
    peers = _present([PEERS[name] for name in chosen.peers or PEERS], named=bool(chosen.peers))
    earlier = _read(chosen.output) if chosen.append else {"figures": [], "rows": []}
    rows: list[Row] = []
    _warn_of_load()
    with tempfile.TemporaryDirectory() as folder:
        start = Startup(Path(folder))
        _say(f"measuring the start of {OURS}")
        startup = start.medians(_STARTS)
        for name in chosen.workloads:
            # Each result is kept as soon as it is there: a run takes its time.
            for run in _runs(name, peers, start, chosen):
                _warn_of_load()
                try:
                    rows += run()
                except RunFailedError as error:
                    _say(f"{name}: {error}")
                    chosen.failed = True
                _write(rows, startup, chosen.output, earlier)
    _show(rows, startup, chosen.output, earlier)
    return int(chosen.failed)


def _runs(
    name: str, peers: Sequence[Peer], start: Startup, chosen: argparse.Namespace
) -> list[Callable[[], list[Row]]]:
    workload = WORKLOADS[name]
    runs: list[Callable[[], list[Row]]] = []
    if peers and not chosen.only_fleets:
        runs.append(lambda: run_rounds(workload, peers, chosen.rounds, start.imports, _say))
    if sizes := _FLEETS.get(name, ()):
        wanted = [size for size in chosen.workers or sizes if not chosen.no_fleets]
        runs += [lambda: run_fleets(workload, wanted, chosen.rounds, _say)] if wanted else []
    return runs


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/benchmarks/run", description=__doc__)
    parser.add_argument("-w", "--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="NAME")
    parser.add_argument("-p", "--peers", nargs="+", choices=PEERS, metavar="NAME", help="default: all that are here")
    parser.add_argument("-r", "--rounds", type=int, default=5, help="measured rounds after the warm-up")
    parser.add_argument("-n", "--workers", type=int, nargs="+", help="numbers of worker processes")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmark-results"), help="folder of JSON and PNG")
    parser.add_argument("-a", "--append", action="store_true", help="keep the other workloads' figures in that folder")
    fleets = parser.add_mutually_exclusive_group()
    fleets.add_argument("--no-fleets", action="store_true", help="nothing distributed")
    fleets.add_argument("--only-fleets", action="store_true", help="only what is distributed")
    parser.set_defaults(failed=False)
    return parser.parse_args(arguments)


def _present(peers: Sequence[Peer], *, named: bool) -> list[Peer]:
    missing = [peer.name for peer in peers if not peer.present]
    if missing and named:
        raise SystemExit(f"not installed: {', '.join(missing)}")
    for name in missing:
        _say(f"{name} is not installed and is left out")
    return [peer for peer in peers if peer.present]


def _read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "benchmark.json").read_text())
    return found


def _write(rows: Sequence[Row], startup: dict[str, Any], folder: Path, earlier: dict[str, Any]) -> None:
    document = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()},
        "commit": commit(),
        "versions": versions(),
        "startup": startup,
        "figures": [asdict(each) for each in _with_earlier(rows, earlier)],
        "rows": [*_kept(earlier["rows"], rows), *(row.document() for row in rows)],
    }
    (folder / "benchmark.json").write_text(json.dumps(document, indent=2, ensure_ascii=False))


def _kept(documents: Sequence[dict[str, Any]], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return what an earlier run has of workloads and peers that this one did not run."""
    ran = {(row.workload, row.peer) for row in rows}
    return [document for document in documents if (document["workload"], document["peer"]) not in ran]


def _with_earlier(rows: Sequence[Row], earlier: dict[str, Any]) -> list[Figures]:
    kept = [Figures(**each) for each in _kept(earlier["figures"], rows)]
    return sorted([*kept, *figures_of(rows)], key=lambda each: list(WORKLOADS).index(each.workload))


def _show(rows: Sequence[Row], startup: dict[str, Any], folder: Path, earlier: dict[str, Any]) -> None:
    figures = _with_earlier(rows, earlier)
    text = table(rows, figures, startup)
    (folder / "benchmark.txt").write_text(f"{text}\n")
    sys.stdout.write(f"{text}\n")
    try:
        plot(figures, folder / "benchmark.png")
    except ImportError:
        _say("no plot: matplotlib is missing (the extra `bench`)")


@cache
def versions() -> dict[str, str]:
    """Return the version of each program that is here, and of the registry."""
    found = {peer.name: peer.version() for peer in PEERS.values() if peer.present}
    asked = subprocess.run(["docker-registry", "--version"], capture_output=True, text=True, check=False)
    return found | {"registry": " ".join(asked.stdout.split())}


def _warn_of_load() -> None:
    load, *_ = os.getloadavg()
    if load > _BUSY:
        _say(f"WARNING: the load of this machine is {load:.1f}, above {_BUSY:g}: the seconds mean little")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
