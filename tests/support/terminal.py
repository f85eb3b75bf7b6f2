"""A terminal for one command: what it shows to a person, and what the person types."""

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

_DEADLINE = 300.0
_SEQUENCES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Run a command on a terminal of its own while the context lasts; what still runs at its end is killed.

    `shown` is all that came out of it so far, stdout and stderr together, with the terminal's own sequences.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, columns: int = 100) -> None:
        self._command = ["setsid", "--ctty", *command]
        self._environment = dict(environment) | {"TERM": "xterm-256color"}
        self._columns = columns
        self._screen = -1
        self._process: subprocess.Popen[bytes] | None = None
        self.shown = ""

    @property
    def text(self) -> str:
        """Return what was shown without the terminal's sequences."""
        return _SEQUENCES.sub("", self.shown)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("enter the terminal first")
        return self._process

    def __enter__(self) -> Self:
        self._screen, line = pty.openpty()
        fcntl.ioctl(line, termios.TIOCSWINSZ, struct.pack("HHHH", 40, self._columns, 0, 0))
        try:
            self._process = subprocess.Popen(self._command, env=self._environment, stdin=line, stdout=line, stderr=line)
        finally:
            os.close(line)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self.close()

    def close(self) -> None:
        """Close the window: the command is sent SIGHUP."""
        if self._screen >= 0:
            os.close(self._screen)
            self._screen = -1

    def type(self, text: str) -> None:
        """Type text, `\\n` for the key Enter, `\\x03` for Ctrl-C."""
        os.write(self._screen, text.encode())

    def wait_for(self, text: str) -> None:
        """Read on until `text` was shown; raises AssertionError with all that was if it never is."""
        ends_at = time.monotonic() + _DEADLINE
        while text not in self.shown:
            assert self._read(ends_at), f"{text!r} was never shown; at the end there was:\n{self.text[-1000:]}"

    def wait(self) -> int:
        """Read all that is still shown and return the command's exit code."""
        ends_at = time.monotonic() + _DEADLINE
        while self._read(ends_at):
            pass
        return self.process.wait(max(0.0, ends_at - time.monotonic()))

    def _read(self, ends_at: float) -> bool:
        # Not select.select, which takes no descriptor beyond 1023.
        poll = select.poll()
        poll.register(self._screen, select.POLLIN)
        ready = poll.poll(max(0.0, ends_at - time.monotonic()) * 1000)
        piece = b""
        if ready:
            # The last process on a line that leaves it ends it with EIO.
            with contextlib.suppress(OSError):
                piece = os.read(self._screen, 1 << 16)
        self.shown += piece.decode(errors="replace")
        return bool(piece)
