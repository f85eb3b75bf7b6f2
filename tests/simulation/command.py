"""Run the command in a process of its own: a run replaces names in the program's modules."""

import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def run(*arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    """Run `python -m tests.simulation`; greenlets and coverage do not go together, so that it is not measured."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "COV_"))}
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=_ROOT,
        env=kept | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )
