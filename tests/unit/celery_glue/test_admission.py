"""Signed messages: whose they are, and how old they may be."""

import json
from typing import Any

import pytest

from tasks import contract
from tasks.celery_glue.admission import Admission, Admitted, NotTaken
from tasks.celery_glue.signature import HEADER, Keys, Signer, signature

NOW = 1_700_000_000.0
SECONDS = 100.0
CI = Signer("ci", b"c" * 32)
WORKERS = Signer("workers", b"w" * 32)
KEYS = Keys(WORKERS.key, {CI.name: CI.key})
BODY = json.dumps([[{"items": []}], {}, {}]).encode()


def admitted(signed: str | None, body: bytes = BODY, task: str = contract.PUSH_TASK, task_id: str = "one") -> Admitted:
    headers: dict[str, Any] = {"task": task, "id": task_id, HEADER: signed}
    return Admission(KEYS, signature_seconds=SECONDS, clock=lambda: NOW).admit(headers, body, lambda: json.loads(body))


@pytest.mark.parametrize("signer", [CI, WORKERS])
@pytest.mark.parametrize("at", [NOW, NOW - SECONDS, NOW + 3600])
def test_a_message_is_taken_while_the_ledger_would_remember_its_push(signer: Signer, at: float) -> None:
    assert admitted(signer.header(contract.PUSH_TASK, "one", BODY, at)).sender == signer.name


@pytest.mark.parametrize("signer", [CI, WORKERS])
@pytest.mark.parametrize("at", [NOW - SECONDS - 1, 0, NOW + 3601, 10**11])
def test_a_message_that_is_sent_again_after_that_is_refused(signer: Signer, at: float) -> None:
    """The ledger would have forgotten it, and it would be carried out a second time."""
    with pytest.raises(NotTaken, match="it was signed"):
        admitted(signer.header(contract.PUSH_TASK, "one", BODY, at))


def test_a_signature_without_a_time_is_taken() -> None:
    assert admitted(f"ci:{signature(CI.key, contract.PUSH_TASK, 'one', BODY)}").producer == "ci"


OLD = CI.header(contract.PUSH_TASK, "one", BODY, NOW - 10 * SECONDS)
DIGEST = OLD.rpartition(":")[2]


@pytest.mark.parametrize(
    "signed",
    [
        f"ci:{DIGEST}",
        f"ci::{DIGEST}",
        f"ci:{NOW:.0f}:{DIGEST}",
        f"ci:{NOW - 10 * SECONDS:.0f}:{NOW:.0f}:{DIGEST}",
        f"ci:-1:{DIGEST}",
        f"ci: {NOW - 10 * SECONDS:.0f}:{DIGEST}",
        f"ci:{NOW - 10 * SECONDS:.1f}:{DIGEST}",
        f"ci:\N{ARABIC-INDIC DIGIT ONE}:{DIGEST}",
        f"ci:{'9' * 5000}:{DIGEST}",
        f"ci:{contract.PUSH_TASK}:{DIGEST}",
        f"ci:{NOW:.0f}:",
        "ci:",
        "ci",
    ],
)
def test_the_time_of_a_signature_cannot_be_changed_or_left_out(signed: str) -> None:
    with pytest.raises(NotTaken, match="signature"):
        admitted(signed)


@pytest.mark.parametrize("at", [NOW, NOW - 10 * SECONDS])
def test_no_part_of_a_message_passes_for_another_part(at: float) -> None:
    """The time, the task and the id stand in lines of their own: none may be moved into its neighbour."""
    said = f"{at:.0f}"
    digest = CI.header(contract.PUSH_TASK, "one", BODY, at).rpartition(":")[2]
    moved = b"one\n" + BODY
    with pytest.raises(NotTaken):
        admitted(f"ci:{digest}", moved, task=said, task_id=contract.PUSH_TASK)
    plain = signature(CI.key, contract.PUSH_TASK, "one", BODY)
    with pytest.raises(NotTaken):
        admitted(f"ci:{contract.PUSH_TASK}:{plain}", BODY.partition(b"\n")[2], task="one", task_id="")
