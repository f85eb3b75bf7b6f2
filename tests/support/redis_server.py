"""Run a real `redis-server` with a data folder of its own."""

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support import processes
from tests.support.processes import Process


class RedisServer:
    """Serve Redis on loopback while the context lasts, without snapshots; nothing is evicted.

    With `appendonly` (fsync on each write) what was written outlives `kill` and `restart`, else it is lost.
    """

    def __init__(self, *, appendonly: bool = False) -> None:
        self._appendonly = appendonly
        self._temporary = tempfile.TemporaryDirectory(prefix="redis-")
        self._folder = Path(self._temporary.name)
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        if self._process is None:
            raise RuntimeError("enter the server first")
        return self._process

    @property
    def port(self) -> int:
        return self.process.port

    @property
    def url(self) -> str:
        """Return the address of database 0; append nothing, replace the last part for another one."""
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        try:
            self._process = self._start(None)
        except BaseException:
            self._temporary.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.stop()
        self._temporary.cleanup()

    def flush(self) -> None:
        """Empty all databases."""
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def kill(self) -> None:
        """Kill the process as a crash would."""
        self.process.kill()

    def restart(self) -> None:
        """Start again on the same port, after ending what still runs."""
        self.process.stop()
        self._process = self._start(self.port)

    def _start(self, port: int | None) -> Process:
        program = processes.find_program("redis-server", "redis-server")

        def command(chosen: int) -> list[str]:
            options = {
                "--port": str(chosen),
                "--bind": "127.0.0.1",
                "--dir": str(self._folder),
                "--save": "",
                "--appendonly": "yes" if self._appendonly else "no",
                "--appendfsync": "always",
                "--maxmemory-policy": "noeviction",
            }
            return [program, *(text for option in options.items() for text in option)]

        return processes.start(command, _is_itself, self._folder / "redis.log", port=port)


def _is_itself(process: Process) -> bool:
    # Another server that won the race for the port would answer a ping as well.
    with redis.Redis(port=process.port, socket_timeout=5, retry=Retry(NoBackoff(), 0)) as client:
        try:
            answered_by: int = client.info("server")["process_id"]
        except redis.RedisError:
            return False
    return answered_by == process.pid
