"""Push one request after the other, as a program does that waits for each.

`python -m tests.support.producer` reads a list of requests from stdin as JSON, and prints their reports.
"""

import json
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.workers import environment

_DEADLINE = 1800.0


def push_at_once(orders: Sequence[Sequence[Mapping[str, Any]]], settings: Mapping[str, str]) -> list[dict[str, Any]]:
    """Push each list of requests from a process of its own, all at once, and return all reports."""
    programs = []
    for order in orders:
        program = subprocess.Popen(
            [sys.executable, "-m", __name__],
            env=environment(settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert program.stdin is not None
        with program.stdin as stdin:
            stdin.write(json.dumps(order).encode())
        program.stdin = None
        programs.append(program)
    reports = []
    for program in programs:
        said, told = program.communicate(timeout=_DEADLINE)
        assert program.returncode == 0, told.decode()[-5000:]
        reports += json.loads(said)
    return reports


def _main() -> None:
    import msgspec

    from tasks.installed import open_client

    reports = []
    for request in json.load(sys.stdin):
        push_id = str(uuid.uuid4())
        with open_client(None, None) as client:
            client.send(request, push_id)
            reports.append(msgspec.to_builtins(client.wait(push_id)))
    json.dump(reports, sys.stdout)


if __name__ == "__main__":
    _main()
