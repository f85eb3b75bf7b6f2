"""The story of one run: what happened, in order, and a hash of it."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.decisions import Action

_SHOWN = 90


@dataclass
class Trace:
    """Lines of a run; those of single steps are kept only if `verbose`. The hash is that of all of them."""

    verbose: bool = False
    lines: list[str] = field(default_factory=list)
    _hash: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=8))

    def step(self, now: float, name: str, result: Any) -> None:
        """Note a step that was taken."""
        self._hash.update(f"{now:.6f}{name}".encode())
        if self.verbose:
            self.lines.append(f"{now:10.3f}  {name}{_shown(result)}")

    def fault(self, now: float, name: str, action: Action) -> None:
        """Note a fault, which happens at a step."""
        self._hash.update(f"{now:.6f}{name}{action}".encode())
        self.lines.append(f"{now:10.3f}  {name}   <<< {action}")

    def note(self, now: float, said: str) -> None:
        """Note what was seen."""
        self._hash.update(f"{now:.6f}{said}".encode())
        self.lines.append(f"{now:10.3f}  * {said}")

    @property
    def digest(self) -> str:
        """The hash of all that happened."""
        return str(self._hash.hexdigest())


def _shown(result: Any) -> str:
    if result is None or result is True:
        return ""
    text = str(result)
    return f" → {text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}"
