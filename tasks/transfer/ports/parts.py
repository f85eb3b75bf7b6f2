"""The parts of a push: their starts, waits and signs of life."""

from collections.abc import Sequence
from typing import Protocol

from tasks import contract


class Starts(Protocol):
    """The lost starts of each part of a push: a digest, a tag, or a task's name."""

    def lost(self, push_id: str, parts: Sequence[str]) -> list[int]:
        """Return the number of unsettled starts of each part."""
        ...

    def begin(self, push_id: str, part: str) -> None:
        """Count a start of a part."""
        ...

    def settle(self, push_id: str, part: str) -> None:
        """Forget the starts of a part that came back from its worker."""
        ...


class Waits(Protocol):
    """The parts of pushes that wait for their next delivery."""

    def wait(self, push_id: str, part: str, waiting: contract.Waiting) -> None:
        """Note that a part came back from its worker and waits."""
        ...

    def hold_up(self, push_id: str, part: str, waiting: contract.Waiting) -> None:
        """Note that a part waits without leaving its worker."""
        ...

    def go_on(self, push_id: str, part: str) -> None:
        """Note that a part waits no longer."""
        ...

    def waits(self, push_id: str) -> dict[str, contract.Waiting]:
        """Return the last wait of each part that ever waited."""
        ...


class Pulse(Protocol):
    """The sign of life of a push."""

    def touch(self, push_id: str) -> None:
        """Note that a part of the push is alive."""
        ...
