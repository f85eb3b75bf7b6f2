"""A TCP proxy that delays all that passes, as a distant registry would; netem needs a kernel that has it."""

import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support import delaying_relay, processes
from tests.support.processes import Process


class DelayingProxy:
    """Stand before the server at `address` (`host:port`) while the context lasts.

    Each direction takes `milliseconds` more, at full bandwidth, and a new connection costs one more round trip. It is a
    process of its own: a proxy in a thread would share the interpreter's lock with the client that is measured.
    """

    def __init__(self, address: str, milliseconds: float) -> None:
        self._address = address
        self._milliseconds = milliseconds
        self._temporary = tempfile.TemporaryDirectory(prefix="delaying-proxy-")
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        if self._process is None:
            raise RuntimeError("enter the proxy first")
        return self._process

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.process.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def __enter__(self) -> Self:
        def command(port: int) -> list[str]:
            return [sys.executable, "-I", delaying_relay.__file__, str(port), self._address, str(self._milliseconds)]

        try:
            self._process = processes.start(
                command, lambda process: "relaying" in process.log(), Path(self._temporary.name) / "relay.log"
            )
        except BaseException:
            self._temporary.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.stop()
        self._temporary.cleanup()
