"""The part of every client that only reads the ledger."""

from tasks import contract
from tasks.transfer.ports import Ledger


class LedgerReader:
    """The queries about pushes that every client answers from the ledger, with or without a broker."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def progress(self, push_id: str) -> contract.Progress:
        return self._ledger.progress(push_id)

    def report(self, push_id: str) -> contract.PushReport | None:
        # Raises PushUnknown, where the report alone would be None.
        self._ledger.progress(push_id)
        return self._ledger.report(push_id)

    def pushes(self) -> list[contract.Progress]:
        return self._ledger.pushes()
