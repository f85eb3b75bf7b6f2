"""The copies of a push, and how they ended."""

from typing import Protocol

from tasks import contract
from tasks.transfer.ports.records import CopyOutcome, TakenCopy


class Copies(Protocol):
    """The copies of a push, for the workers that carry them out."""

    def take_copy(self, push_id: str, digest: str) -> TakenCopy:
        """Return the records of one copy."""
        ...

    def record_copy(self, push_id: str, outcome: CopyOutcome, progress: contract.CopyProgress) -> None:
        """Note how a copy ended."""
        ...

    def record_progress(self, push_id: str, progress: contract.CopyProgress) -> None:
        """Note the progress of a copy."""
        ...


class Outcomes(Protocol):
    """The outcomes of the copies of a push."""

    def copies(self, push_id: str) -> dict[str, CopyOutcome]:
        """Return the outcomes by digest; a copy that has not ended has none."""
        ...
