"""What our command takes before and beside the work: interpreter and imports, and a push of next to nothing."""

import json
import statistics
import sys
from collections.abc import Sequence
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


class Startup:
    """Measures the start of our command again and again; the list of what it imports is made once, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = environment_of(folder)
        self._listed = folder / "modules.json"
        with source_of(_NEXT_TO_NOTHING) as a, errand_of(_NEXT_TO_NOTHING, a) as (errand, _):
            self._measure([sys.executable, "-c", _LISTING, str(self._listed), *self._push(errand)])

    @property
    def modules(self) -> int:
        return len(json.loads(self._listed.read_text()))

    def imports(self) -> Sample:
        """Start an interpreter that imports all that a push imports, and ends."""
        return self._measure([sys.executable, "-c", _IMPORTING, str(self._listed)])

    def medians(self, rounds: int) -> dict[str, Any]:
        """Return medians of `imports`, of `version` (the command that only tells it) and of `idle` (a tiny push)."""
        samples: dict[str, list[Sample]] = {"imports": [], "version": [], "idle": []}
        with source_of(_NEXT_TO_NOTHING) as a:
            for _ in range(rounds):
                samples["imports"].append(self.imports())
                samples["version"].append(self._measure(command("--version")))
                with errand_of(_NEXT_TO_NOTHING, a) as (errand, _b):
                    samples["idle"].append(self._measure(command(*self._push(errand))))
        return {kind: _medians(each) for kind, each in samples.items()} | {"modules": self.modules}

    def _measure(self, line: Sequence[str]) -> Sample:
        return measure(line, self._environment, self._folder / "log")

    def _push(self, errand: Errand) -> list[str]:
        request = self._folder / "request.json"
        request.write_text(json.dumps(request_of(errand)))
        return ["push", str(request), "--quiet"]


def _medians(samples: Sequence[Sample]) -> dict[str, float]:
    return {
        "wall": statistics.median(sample.wall for sample in samples),
        "cpu": statistics.median(sample.cpu for sample in samples),
    }
