"""What a command takes of time and memory; all times are seconds."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import launcher


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One run: CPU is user and system time of the client's processes, memory the peak of the biggest of them."""

    wall: float
    cpu: float
    peak_bytes: int


class RunFailedError(Exception):
    """Say which command failed and how its output ends."""


def measure(
    command: Sequence[str], environment: Mapping[str, str], log_path: Path, expected: frozenset[int] = frozenset({0})
) -> Sample:
    """Run a command to its end; its output goes to `log_path`. Raises RunFailedError for another exit code."""
    with tempfile.TemporaryDirectory() as folder, log_path.open("wb") as log:
        result = Path(folder) / "result.json"
        subprocess.run(
            [sys.executable, "-I", "-S", launcher.__file__, str(result), *command],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=True,
        )
        taken = json.loads(result.read_text())
    if taken.pop("code") not in expected:
        raise RunFailedError(f"{' '.join(command[:6])} … failed; its output ends:\n{log_path.read_text()[-3000:]}")
    return Sample(**taken)


def cpu_of(pid: int) -> float:
    """Return the CPU time that a running process has used."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / 100
