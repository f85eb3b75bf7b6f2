"""What our command takes before and beside the work: interpreter and imports, and a push of next to nothing."""

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import Sample, measure
from tests.benchmarks.peers import Errand, environment_of, request_of
from tests.benchmarks.rounds import errand_of, source_of
from tests.benchmarks.workloads import Copy, Workload
from tests.support.workers import command

_NEXT_TO_NOTHING = Workload(
    name="idle",
    title="an image of a few bytes",
    at_a=lambda: iter(()),
    copies=(Copy("warm/up:1", {"app/copy": ("1",)}),),
    content_bytes=0,
)
# Runs the command, and lists at its end what it has imported, in that order.
_LISTING = """
import atexit, json, sys
listed, *sys.argv[1:] = sys.argv[1:]
atexit.register(lambda: json.dump(list(sys.modules), open(listed, "w")))
from workers.cli.main import main
main()
"""
_IMPORTING = """
import importlib, json, sys
for name in json.load(open(sys.argv[1])):
    try:
        importlib.import_module(name)
    except ImportError:
        pass
"""


def measure_startup(rounds: int) -> dict[str, Any]:
    """Return medians: `imports` (interpreter and all modules of a push), `version` and `idle` (the whole tiny push)."""
    with tempfile.TemporaryDirectory() as name, source_of(_NEXT_TO_NOTHING) as a:
        folder = Path(name)
        listed = folder / "modules.json"
        environment = environment_of(folder)

        def push(errand: Errand) -> list[str]:
            request = folder / "request.json"
            request.write_text(json.dumps(request_of(errand)))
            return ["push", str(request), "--quiet"]

        def idle() -> Sample:
            with errand_of(_NEXT_TO_NOTHING, a) as (errand, _):
                return measure(command(*push(errand)), environment, folder / "log")

        with errand_of(_NEXT_TO_NOTHING, a) as (errand, _):
            measure([sys.executable, "-c", _LISTING, str(listed), *push(errand)], environment, folder / "log")
        kinds: dict[str, Callable[[], Sample]] = {
            "imports": lambda: measure([sys.executable, "-c", _IMPORTING, str(listed)], environment, folder / "log"),
            "version": lambda: measure(command("--version"), environment, folder / "log"),
            "idle": idle,
        }
        samples: dict[str, list[Sample]] = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind, run in kinds.items():
                samples[kind].append(run())
        return {kind: _medians(each) for kind, each in samples.items()} | {
            "modules": len(json.loads(listed.read_text()))
        }


def _medians(samples: Sequence[Sample]) -> dict[str, float]:
    return {
        "wall": statistics.median(sample.wall for sample in samples),
        "cpu": statistics.median(sample.cpu for sample in samples),
    }
