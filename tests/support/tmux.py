"""The screen of a person: a command in tmux, and the rows and columns that it leaves there."""

import shlex
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.processes import wait_until

_ROWS = 50


class Screen:
    """Run a command on a screen of so many columns while the context lasts.

    `lines` is what stands there now, wrapped as the terminal wraps it: a line that is too long takes two rows.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], columns: int, folder: Path) -> None:
        self._socket = folder / f"tmux-{uuid.uuid4().hex[:6]}"
        self._ended = folder / f"ended-{uuid.uuid4().hex[:6]}"
        variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        # The last row of the output would scroll away with the pane.
        self._script = f"env -i {variables} {shlex.join(command)}; echo $? >{self._ended}; exec sleep 600"
        self._columns = columns

    def __enter__(self) -> Self:
        size = ["-x", str(self._columns), "-y", str(_ROWS)]
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, "sh", "-c", self._script)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tmux("kill-server")

    @property
    def lines(self) -> list[str]:
        """Return the rows of the screen without blanks at their ends, empty ones at the bottom left out."""
        shown = self._tmux("capture-pane", "-p")
        return [line.rstrip() for line in shown.rstrip().splitlines()]

    @property
    def coloured(self) -> str:
        """Return the screen with the sequences that colour it."""
        return self._tmux("capture-pane", "-p", "-e")

    def wait_for(self, text: str) -> None:
        """Wait until a text stands on the screen."""
        wait_until(lambda: any(text in line for line in self.lines), f"{text!r} was never shown")

    def wait(self) -> int:
        """Wait until the command has ended and return its exit code."""
        wait_until(lambda: self._ended.exists() and bool(self._ended.read_text()), "the command did not end")
        return int(self._ended.read_text())

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(["tmux", "-S", str(self._socket), *arguments], capture_output=True, text=True, check=True)
        return done.stdout
