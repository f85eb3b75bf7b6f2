"""The ledger, the locks and the attempts of a step, in this process."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.coordination.ledger import HashLedger
from tasks.coordination.local.in_process import KeyLocks, LocalRuns
from tasks.coordination.local.sqlite import FileHashes


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[HashLedger]:
    hashes = FileHashes(tmp_path / "ledger.sqlite3", 60)
    yield HashLedger(hashes)
    hashes.close()


@pytest.fixture
def runs() -> LocalRuns:
    return LocalRuns(KeyLocks(), 0.1)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads
