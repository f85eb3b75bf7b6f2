"""A TCP proxy that delays all that passes, as a distant registry would; netem needs a kernel that has it."""

import sys

from tests.support import delaying_relay
from tests.support.processes import Process
from tests.support.server import Server


class DelayingProxy(Server):
    """Stand before the server at `address` (`host:port`) while the context lasts.

    Each direction takes `milliseconds` more, at full bandwidth, and a new connection costs one more round trip. It is a
    process of its own: a proxy in a thread would share the interpreter's lock with the client that is measured.
    """

    name = "delaying-proxy"

    def __init__(self, address: str, milliseconds: float) -> None:
        super().__init__()
        self._address = address
        self._milliseconds = milliseconds

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def command(self, port: int) -> list[str]:
        return [sys.executable, "-I", delaying_relay.__file__, str(port), self._address, str(self._milliseconds)]

    def ready(self, process: Process, output: str) -> bool:
        return "relaying" in output
