"""Commands of the project's program, each run to its end in a process of its own."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.workers import command, environment

_DEADLINE = 300.0


@dataclass(frozen=True)
class Ended:
    """What a command left: its exit code and what it wrote."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """Return the one JSON document that stdout is; raises ValueError if it is anything else."""
        return json.loads(self.stdout)


def run(*arguments: str, settings: Mapping[str, str], stdin: str = "") -> Ended:
    """Run a command to its end; it sees only these settings of the project."""
    done = subprocess.run(
        command(*arguments),
        env=environment(settings),
        input=stdin.encode(),
        capture_output=True,
        timeout=_DEADLINE,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())
