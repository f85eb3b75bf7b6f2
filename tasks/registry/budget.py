"""How much of a registry one may use: a port, since workers share it, and what serves where there is no bound."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Budget(Protocol):
    """What one user may ask of one registry; threads, processes and machines share it."""

    def request(self, patience: float) -> AbstractContextManager[None]:
        """Wait for room for one request and take it for the block.

        Raises RateLimited where the registry wants to be left alone for more than `patience` seconds; once a minute a
        request is let through all the same, to see whether it still does.
        """
        ...

    def served(self) -> None:
        """Take in that the registry answered this thread's last request without a word of limits."""
        ...

    def limited(self, retry_after: float | None) -> None:
        """Take in that the registry refused a request because of its limits, and for how many seconds."""
        ...


class Budgets(Protocol):
    """The budgets of a process."""

    def of(self, registry: str, who: str, at_once: int, per_second: float | None) -> Budget:
        """Return the budget of the user `who` at a registry: requests at once, and per second if that is bounded."""
        ...


class _Unbounded:
    @contextmanager
    def request(self, patience: float) -> Iterator[None]:
        del patience
        yield

    def served(self) -> None: ...
    def limited(self, retry_after: float | None) -> None: ...


class UnboundedBudgets:
    """Every registry may be asked as much as one likes."""

    def of(self, registry: str, who: str, at_once: int, per_second: float | None) -> Budget:
        """Return a budget without a bound."""
        del registry, who, at_once, per_second
        return _Unbounded()
