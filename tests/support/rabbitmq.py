"""Run a real RabbitMQ node with a data folder, an Erlang port mapper and a home of its own."""

import os
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support import processes
from tests.support.processes import Process

# What Debian has on the PATH changes to another user and to the machine's own folders; what it calls does not.
_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_READY = "Server startup complete"


class RabbitMQ:
    """Serve AMQP on loopback while the context lasts; messages and queues outlive `kill`, `stop` and `start`."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="rabbitmq-")
        self._folder = Path(self._temporary.name)
        self._mapper: Process | None = None
        self._process: Process | None = None
        self._distribution_port = 0

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
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def __enter__(self) -> Self:
        try:
            (self._folder / "plugins").write_text("[].")
            for name in ("rabbit.conf", "env.conf"):
                (self._folder / name).touch()
            self._mapper = processes.start(self._map_command, _listens, self._folder / "epmd.log")
            self._distribution_port = processes.free_port()
            self._process = self._start(None)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def kill(self) -> None:
        """Kill the node as a crash would."""
        self.process.kill()

    def stop(self) -> None:
        """End the node in order."""
        self.process.stop(30)

    def start(self) -> None:
        """Start the node again on the same port."""
        self._process = self._start(self.port)

    def control(self, *arguments: str) -> None:
        """Administer the node as `rabbitmqctl` does; raises CalledProcessError."""
        program = str(_PROGRAM.with_name("rabbitmqctl"))
        env = os.environ | self._settings(self.port)
        subprocess.run([program, *arguments], env=env, check=True, capture_output=True, timeout=60)

    def _end(self) -> None:
        for process in (self._process, self._mapper):
            if process is not None:
                process.stop(30)
        self._temporary.cleanup()

    def _map_command(self, port: int) -> list[str]:
        program = processes.find_program("epmd", "erlang-base")
        return [program, "-port", str(port), "-address", "127.0.0.1"]

    def _start(self, port: int | None) -> Process:
        if not _PROGRAM.exists():
            raise processes.CannotStartError(f"{_PROGRAM} is missing: apt-get install rabbitmq-server")
        log_path = self._folder / "node.log"
        shown_from = len(log_path.read_text(errors="replace")) if log_path.exists() else 0

        def command(chosen: int) -> list[str]:
            settings = [f"{name}={value}" for name, value in self._settings(chosen).items()]
            return ["env", *settings, str(_PROGRAM), "-noinput"]

        return processes.start(
            command,
            lambda process: _READY in process.log()[shown_from:],
            log_path,
            port=port,
            deadline=60,
        )

    def _settings(self, port: int) -> dict[str, str]:
        assert self._mapper is not None
        folder = str(self._folder)
        return {
            "HOME": folder,
            "ERL_EPMD_PORT": str(self._mapper.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # Its own name, or two nodes of one machine would take each other's place.
            "RABBITMQ_NODENAME": f"node{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_HOME": folder,
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbit.conf",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/env.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{folder}/generated",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            # The Erlang machine takes the place of the shell script: signals reach it.
            "RABBITMQ_ALLOW_INPUT": "1",
        }


def _listens(process: Process) -> bool:
    with socket.create_connection(("127.0.0.1", process.port), 1):
        return True
