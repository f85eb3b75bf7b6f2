"""The base of the real servers that tests run: a process, a free loopback port and a temporary folder."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tests.support import processes
from tests.support.processes import Process


class Server(ABC):
    """Serve on a free loopback port while the context lasts.

    The folder and the port outlive `kill`, `stop` and `start`; one object runs one process at a time. A server that
    does not start raises CannotStartError with the end of its log.
    """

    name: ClassVar[str]
    start_deadline: ClassVar[float] = processes.START_DEADLINE
    stop_grace: ClassVar[float] = processes.STOP_GRACE

    def __init__(self, parent: str | None = None) -> None:
        """Make the folder below `parent`, or where temporary files are."""
        # A browser that was told to end may still write into its profile.
        self._temporary = tempfile.TemporaryDirectory(prefix=f"{self.name}-", dir=parent, ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        self.log_path = self.folder / f"{self.name}.log"
        self._process: Process | None = None

    @abstractmethod
    def command(self, port: int) -> Sequence[str]:
        """Return the command line of a process that serves on `port`; files that it reads are written here."""

    @abstractmethod
    def ready(self, process: Process, output: str) -> bool:
        """Tell whether the process serves, by what it has written since its start; may raise OSError."""

    def environment(self) -> Mapping[str, str] | None:
        """Return the environment of the process, None for that of the tests."""
        return None

    @property
    def process(self) -> Process:
        if self._process is None:
            raise RuntimeError(f"enter the {self.name} first")
        return self._process

    @property
    def port(self) -> int:
        return self.process.port

    def __enter__(self) -> Self:
        try:
            self._start(None)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def kill(self) -> None:
        """Kill the process as a crash would."""
        self.process.kill()

    def stop(self) -> None:
        """Ask the process to end, and kill it if it does not."""
        self.process.stop(self.stop_grace)

    def start(self) -> None:
        """Start again on the same port."""
        self._start(self.port)

    def restart(self) -> None:
        """Start again on the same port, after ending what still runs."""
        self.stop()
        self.start()

    def _start(self, port: int | None) -> None:
        shown_from = self.log_path.stat().st_size if self.log_path.exists() else 0

        def ready(process: Process) -> bool:
            output = self.log_path.read_bytes()[shown_from:].decode(errors="replace")
            return self.ready(process, output)

        self._process = processes.start(
            self.command,
            ready,
            self.log_path,
            port=port,
            environment=self.environment(),
            deadline=self.start_deadline,
        )

    def end(self) -> None:
        """End the process if it runs, and remove the folder."""
        if self._process is not None:
            self.stop()
        self._temporary.cleanup()
