"""The records of a push in the ledger, when two deliveries of it meet (BEHAVIOUR 7.3)."""

from collections.abc import Iterator

import pytest

from tasks import contract
from tasks.coordination.ledger import HashLedger
from tasks.coordination.local.sqlite import FileHashes
from tasks.errors import LockLost, PartBusy, Retry
from tasks.transfer.ports import TagIntent
from tasks.transfer.publish.records import LedgerIntents

FIRST, SECOND = (TagIntent(action="copied", old_digest=None, new_digest=digest) for digest in ("sha256:1", "sha256:2"))


@pytest.fixture
def intents() -> Iterator[LedgerIntents]:
    hashes = FileHashes(None, 60)
    yield LedgerIntents(HashLedger(hashes), "p", "b.example/app:1")
    hashes.close()


def test_the_intent_of_another_delivery_is_not_lost(intents: LedgerIntents) -> None:
    """Rule 7.3: a delivery may stand still between its look at the lock and its intent."""
    intents.note(FIRST, None, None)
    with pytest.raises(LockLost):
        intents.note(SECOND, None, None)
    assert intents.read() == FIRST
    intents.note(SECOND, None, FIRST)
    assert intents.read() == SECOND


def test_an_intent_may_be_noted_twice(intents: LedgerIntents) -> None:
    """Rule 7.3: nobody heard that it was noted."""
    intents.note(FIRST, None, None)
    intents.note(FIRST, None, None)
    assert intents.read() == FIRST


def test_a_push_that_ended_is_not_open(intents: LedgerIntents) -> None:
    """Rules 6.1 and 10.1: a delivery may stand still until the watchdog, or another delivery, ended the push."""
    intents.ensure_open()
    intents.ledger.finish(contract.PushReport(push_id="p", state="failed", items=[], totals=contract.Totals()))
    with pytest.raises(PartBusy) as refused:
        intents.ensure_open()
    assert refused.value.retry is Retry.GIVE_BACK
