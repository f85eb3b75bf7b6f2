"""The list of pushes reads those that it shows, however many the ledger remembers."""

from collections.abc import Iterator

import pytest

from tasks import contract
from tasks.coordination.ledger import HashLedger
from tasks.coordination.local.sqlite import FileHashes
from workers.cli.commands.status import _latest


class CountingLedger(HashLedger):
    def __init__(self, hashes: FileHashes) -> None:
        super().__init__(hashes)
        self.read: list[str] = []

    def progress(self, push_id: str) -> contract.Progress:
        self.read.append(push_id)
        return super().progress(push_id)


@pytest.fixture
def ledger() -> Iterator[CountingLedger]:
    hashes = FileHashes(None, 600)
    ledger = CountingLedger(hashes)
    for number in range(50):
        ledger.accept(f"p{number:02}", {}, f"task-{number}")
    yield ledger
    hashes.close()


def test_the_latest_pushes_are_read_and_no_other(ledger: CountingLedger) -> None:
    found, remembered = _latest(ledger, 3)
    assert [push.push_id for push in found] == ["p49", "p48", "p47"]
    assert remembered == 50
    assert ledger.read == ["p49", "p48", "p47"]


def test_all_are_found_where_there_are_fewer() -> None:
    hashes = FileHashes(None, 600)
    assert _latest(HashLedger(hashes), 20) == ([], 0)
    assert HashLedger(hashes).ended_states([]) == []
    hashes.close()
