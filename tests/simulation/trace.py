"""The story of one run: what happened, in order, and a hash of it."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.decisions import Action

_SHOWN = 90
_SHARED = (" b.example/", " tag:", " written:", " run:", "intents", "event ")


@dataclass
class Trace:
    """Lines of a run; those of single steps are kept only if `verbose`.

    `digest` is the hash of all that happened, `order` that of the order of it, whatever the times.
    """

    verbose: bool = False
    lines: list[str] = field(default_factory=list)
    _hash: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=8))
    _order: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=8))

    def step(self, now: float, name: str, result: Any) -> None:
        """Note a step that was taken."""
        self._hash.update(f"{now:.6f}{name}".encode())
        if tells(name):
            self._order.update(name.encode())
        if self.verbose:
            self.lines.append(f"{now:10.3f}  {name}{_shown(result)}")

    def fault(self, now: float, name: str, action: Action) -> None:
        """Note a fault, which happens at a step."""
        self._hash.update(f"{now:.6f}{name}{action}".encode())
        self.lines.append(f"{now:10.3f}  {name}   <<< {action}")

    def note(self, now: float, said: str) -> None:
        """Note what was seen."""
        self._hash.update(f"{now:.6f}{said}".encode())
        self._order.update(said.encode())
        self.lines.append(f"{now:10.3f}  * {said}")

    @property
    def digest(self) -> str:
        """The hash of all that happened."""
        return str(self._hash.hexdigest())

    @property
    def order(self) -> str:
        """The hash of the steps at which deliveries can meet, in their order, and of what was seen."""
        return str(self._order.hexdigest())


def tells(name: str) -> bool:
    """Tell whether deliveries meet at a step: at a tag, its lock, its record, or the push's own records."""
    return "/publish" in name and any(each in name for each in _SHARED)


def _shown(result: Any) -> str:
    if result is None or result is True:
        return ""
    text = str(result)
    return f" → {text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}"
