"""Real worker processes of the project, started as an operator starts them."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import wait_until

_HARMED = "tests.support.chaos"
_READY = " ready."
_START_DEADLINE = 200.0
_STOP_DEADLINE = 200.0


class Worker:
    """One `imagepusher worker` process; its log is a file."""

    def __init__(self, process: subprocess.Popen[bytes], log_path: Path) -> None:
        self.process = process
        self._log_path = log_path

    def log(self) -> str:
        return self._log_path.read_text(errors="replace")

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """Kill the worker as a crash would, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def resume(self) -> None:
        """Let a worker that was stopped by SIGSTOP go on."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """Ask the worker to end and return its exit code; it is killed if it does not."""
        self.process.terminate()
        try:
            return self.process.wait(_STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def resident_bytes(self) -> int:
        """Return the most memory that the process has had resident."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the kernel does not tell VmHWM")


def command(*arguments: str) -> list[str]:
    """Return the command line of the project's program, run by this interpreter."""
    return [sys.executable, "-m", "workers.cli", *arguments]


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process' environment with only these settings of the project."""
    # The width of a terminal is that of the test's own terminal: parallel runs carry one of theirs.
    foreign = ("IMAGEPUSHER_", "COLUMNS", "LINES")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    return inherited | {"PYTHONUNBUFFERED": "1"} | dict(settings)


@contextmanager
def running_worker(
    settings: Mapping[str, str], arguments: Sequence[str] = (), *, arms_url: str | None = None
) -> Iterator[Worker]:
    """Start a worker, wait until it serves, and end it; its log is shown if it does not start.

    With `arms_url` it is one that harms itself as the Redis there says (tests/support/chaos.py).
    """
    program = [sys.executable, "-m", "workers.cli"] if arms_url is None else [sys.executable, "-m", _HARMED, arms_url]
    with tempfile.TemporaryDirectory() as folder:
        log_path = Path(folder) / "worker.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [*program, "worker", *arguments], env=environment(settings), stdout=log, stderr=subprocess.STDOUT
            )
        worker = Worker(process, log_path)
        try:
            wait_until(
                lambda: _READY in worker.log() or process.poll() is not None, "the worker is not ready", _START_DEADLINE
            )
            assert process.poll() is None, f"the worker ended:\n{worker.log()}"
            yield worker
        finally:
            if process.poll() is None:
                worker.stop()
