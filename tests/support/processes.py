"""Start real servers on free ports, wait until they answer, and end them by their process id."""

import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# How long a machine with much else to do may take; a test that waits in vain fails by then.
START_DEADLINE = 200.0
STOP_GRACE = 10.0
ATTEMPTS = 5
LOG_SHOWN = 4000
POLL = 0.02
# Above the ports of well-known servers, below those that Linux gives to outgoing connections.
PORTS = range(10_000, 32_000)
# Not the generator that a test's seed sets: runs at the same time would draw the same ports.
_DRAWN = random.SystemRandom()


class CannotStartError(Exception):
    """Say why a server that the tests need does not run: the tests fail, they never skip."""


def find_program(name: str, package: str) -> str:
    """Return the path of a program; raise CannotStartError that names the Debian package to install."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/bin:/usr/bin:/bin")
    if path is None:
        raise CannotStartError(f"{name} is not installed; the tests need it: apt-get install {package}")
    return path


def free_port() -> int:
    """Return a loopback port that nothing listens on; another process may still win the race for it.

    No outgoing connection is given it, so that a server that was killed finds it free when it is started again.
    """
    while True:
        port = _DRAWN.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@dataclass(frozen=True)
class Process:
    """Hold one running server."""

    popen: subprocess.Popen[bytes]
    port: int
    log_path: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def stop(self, grace: float = STOP_GRACE) -> None:
        """Ask it to end, and kill it if it has not after `grace` seconds."""
        self.popen.terminate()
        try:
            self.popen.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill it as a crash would, and wait until it is gone."""
        self.popen.kill()
        self.popen.wait()


def start(
    command: Callable[[int], Sequence[str]],
    ready: Callable[[Process], bool],
    log_path: Path,
    *,
    port: int | None = None,
    environment: Mapping[str, str] | None = None,
    deadline: float = START_DEADLINE,
) -> Process:
    """Run `command(port)` and return once `ready` holds.

    Without `port` a free one is picked, and another one if someone else takes it first. With `port` (a restart)
    only that one will do. `ready` is polled; it must tell this process from another one on the same port, and
    may raise OSError while nothing answers. Output is appended to `log_path`. Raises CannotStartError with the
    end of that log if the process ends, or is not ready after `deadline` seconds.
    """
    for _ in range(ATTEMPTS):
        chosen = free_port() if port is None else port
        process = _run(command(chosen), chosen, log_path, environment)
        shown_from = len(process.log())
        try:
            became_ready = _wait(process, ready, deadline)
        except BaseException:
            process.kill()
            raise
        if became_ready:
            return process
        ended = not process.running
        process.kill()
        tail = process.log()[shown_from:]
        lost_race = ended and "address already in use" in tail.lower()
        if port is not None or not lost_race:
            what = f"ended with {process.popen.returncode}" if ended else f"was not ready in {deadline} s"
            raise CannotStartError(f"{process.popen.args!r} {what}; its log ends:\n{tail[-LOG_SHOWN:]}")
    raise CannotStartError(f"lost the race for {ATTEMPTS} free ports in a row, see {log_path}")


def wait_until(holds: Callable[[], bool], complaint: str, deadline: float = START_DEADLINE) -> None:
    """Poll until `holds`; raise AssertionError with the complaint after `deadline` seconds."""
    ends_at = time.monotonic() + deadline
    while not holds():
        assert time.monotonic() < ends_at, complaint
        time.sleep(POLL)


def _run(command: Sequence[str], port: int, log_path: Path, environment: Mapping[str, str] | None) -> Process:
    with log_path.open("ab") as log:
        popen = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
        )
    return Process(popen, port, log_path)


def _wait(process: Process, ready: Callable[[Process], bool], deadline: float) -> bool:
    ends_at = time.monotonic() + deadline
    while process.running and time.monotonic() < ends_at:
        try:
            if ready(process):
                return True
        except OSError:
            pass
        time.sleep(POLL)
    return False
