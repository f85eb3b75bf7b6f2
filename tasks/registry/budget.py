"""The port of request budgets, which workers share, and budgets without a bound."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Budget(Protocol):
    """The requests of one user that one registry allows; threads, processes and machines share them."""

    def request(self, patience: float) -> AbstractContextManager[None]:
        """Wait for room for one request and take it for the block.

        Raises RateLimited if the registry asks for a pause of more than `patience` seconds; one request a minute still
        goes through, to see whether the limit lasts.
        """
        ...

    def served(self) -> None:
        """Note that the registry answered this thread's last request without a limit."""
        ...

    def limited(self, retry_after: float | None, said: str = "") -> None:
        """Note that the registry refused a request because of its limits, for how many seconds, and in which words."""
        ...


class Budgets(Protocol):
    """The budgets of a process."""

    def of(self, registry: str, who: str, at_once: int, per_second: float | None) -> Budget:
        """Return the budget of the user `who` at a registry: requests at once, and per second unless None."""
        ...


class _Unbounded:
    @contextmanager
    def request(self, patience: float) -> Iterator[None]:
        del patience
        yield

    def served(self) -> None: ...
    def limited(self, retry_after: float | None, said: str = "") -> None: ...


class UnboundedBudgets:
    """Budgets without a bound."""

    def of(self, registry: str, who: str, at_once: int, per_second: float | None) -> Budget:
        """Return a budget without a bound."""
        del registry, who, at_once, per_second
        return _Unbounded()
