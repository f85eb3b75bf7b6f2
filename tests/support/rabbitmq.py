"""Run a real RabbitMQ node with a data folder, an Erlang port mapper and a home of its own."""

import os
import socket
import subprocess
from pathlib import Path
from typing import Self

from tests.support import processes
from tests.support.certificates import Certificates
from tests.support.processes import Process
from tests.support.server import Server

# The program on the PATH changes to another user and to the machine's own folders; the one that it calls does not.
_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_READY = "Server startup complete"


class PortMapper(Server):
    """Map the names of Erlang nodes to their ports while the context lasts."""

    name = "epmd"

    def command(self, port: int) -> list[str]:
        return [processes.find_program("epmd", "erlang-base"), "-port", str(port), "-address", "127.0.0.1"]

    def ready(self, process: Process, output: str) -> bool:
        with socket.create_connection(("127.0.0.1", process.port), 1):
            return True


class RabbitMQ(Server):
    """Serve AMQP on loopback while the context lasts; messages and queues outlive `kill`, `stop` and `start`.

    With certificates it serves TLS on `tls_port`, too, and only to clients that have one.
    """

    name = "rabbitmq"
    start_deadline = 300
    stop_grace = 30

    def __init__(self, certificates: Certificates | None = None) -> None:
        super().__init__()
        self._certificates = certificates
        self.tls_port = 0
        self._mapper = PortMapper()
        self._distribution_port = 0

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def __enter__(self) -> Self:
        (self.folder / "plugins").write_text("[].")
        for name in ("rabbit.conf", "env.conf"):
            (self.folder / name).touch()
        if self._certificates is not None:
            self.tls_port = processes.free_port()
            (self.folder / "rabbit.conf").write_text(_tls(self.tls_port, self._certificates))
        self._mapper.__enter__()
        self._distribution_port = processes.free_port()
        return super().__enter__()

    def end(self) -> None:
        super().end()
        self._mapper.end()

    def control(self, *arguments: str) -> None:
        """Administer the node as `rabbitmqctl` does; raises CalledProcessError."""
        program = str(_PROGRAM.with_name("rabbitmqctl"))
        env = os.environ | self._settings(self.port)
        subprocess.run([program, *arguments], env=env, check=True, capture_output=True, timeout=300)

    def command(self, port: int) -> list[str]:
        if not _PROGRAM.exists():
            raise processes.CannotStartError(f"{_PROGRAM} is missing: apt-get install rabbitmq-server")
        settings = [f"{name}={value}" for name, value in self._settings(port).items()]
        return ["env", *settings, str(_PROGRAM), "-noinput"]

    def ready(self, process: Process, output: str) -> bool:
        return _READY in output

    def _settings(self, port: int) -> dict[str, str]:
        folder = str(self.folder)
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


def _tls(port: int, certificates: Certificates) -> str:
    options = {
        "cacertfile": certificates.authority,
        "certfile": certificates.server.certificate,
        "keyfile": certificates.server.key,
        "verify": "verify_peer",
        "fail_if_no_peer_cert": "true",
    }
    named = (f"ssl_options.{name} = {value}\n" for name, value in options.items())
    return f"listeners.ssl.1 = 127.0.0.1:{port}\n{''.join(named)}"
