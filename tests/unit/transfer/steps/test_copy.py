"""One copy of a push, with the effect of once, however often it is delivered."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.contract import CopyProgress, Totals
from tasks.coordination.ledger import HashLedger
from tasks.coordination.local.in_process import KeyLocks, LocalRuns
from tasks.coordination.local.sqlite import FileHashes
from tasks.errors import (
    ImagePusherError,
    PartBusy,
    PushAbandoned,
    PushCancelled,
    RateLimited,
    RegistryUnavailable,
    StateUnavailable,
)
from tasks.transfer.copy.copier import Copied
from tasks.transfer.lost_starts import Attempts
from tasks.transfer.plan.plan import Copy, Plan
from tasks.transfer.ports import CopyOutcome
from tasks.transfer.steps.copy import CopyStep
from tests.support.plans import planned_copy

DIGEST = "sha256:a"
DONE = Copied(
    CopyOutcome(digest=DIGEST, totals=Totals(bytes_copied=3)), CopyProgress(digest=DIGEST, done=3, ended=True), None
)
MOST = 3


class ScriptedCopier:
    """Do what the test says, in order; the last thing again and again."""

    def __init__(self, *steps: Copied | BaseException) -> None:
        self._steps = list(steps)
        self.copies = 0

    def copy(self, copy: Copy, report: Callable[[CopyProgress], None], content: bytes | None = None) -> Copied:
        report(CopyProgress(digest=copy.digest, done=1, total=3))
        self.copies += 1
        step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        if isinstance(step, BaseException):
            raise step
        return step


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[HashLedger]:
    hashes = FileHashes(tmp_path / "ledger.sqlite3", 60)
    ledger = HashLedger(hashes)
    ledger.accept("p", {}, "p")
    copy = planned_copy(DIGEST, destinations=("b/x", "b/y"))
    ledger.save_plan(Plan(push_id="p", created=1.0, items=[], copies=[copy]))
    yield ledger
    hashes.close()


def step_of(ledger: HashLedger, copier: Any, runs: LocalRuns) -> CopyStep:
    return CopyStep(ledger=ledger, copier=copier, runs=runs, attempts=Attempts(ledger, runs, MOST))


def copying(ledger: HashLedger, copier: ScriptedCopier) -> CopyStep:
    return step_of(ledger, copier, LocalRuns(KeyLocks(), 0.1))


def deliver(work: CopyStep, *, tries_left: bool = True) -> ImagePusherError | None:
    return work.run("p", DIGEST, may_retry=lambda *_: tries_left)


def test_a_copy_is_done_once_however_often_it_is_delivered(ledger: HashLedger) -> None:
    """Rule 7.3."""
    copier = ScriptedCopier(DONE)
    assert [deliver(copying(ledger, copier)) for _ in range(3)] == [None, None, None]
    assert copier.copies == 1
    assert ledger.copies("p") == {DIGEST: DONE.outcome}


def test_a_copy_that_was_never_planned_does_nothing(ledger: HashLedger) -> None:
    copier = ScriptedCopier(DONE)
    assert copying(ledger, copier).run("p", "sha256:other", may_retry=lambda *_: True) is None
    assert (copier.copies, ledger.copies("p")) == (0, {})


@pytest.mark.parametrize("transient", [RateLimited("wait", 9.0), RegistryUnavailable("down")])
def test_a_registry_that_may_answer_later_is_tried_again_while_tries_are_left(
    ledger: HashLedger, transient: RateLimited | RegistryUnavailable
) -> None:
    failed = CopyOutcome(digest=DIGEST, errors={"b/x": transient})
    work = copying(
        ledger, ScriptedCopier(Copied(failed, CopyProgress(digest=DIGEST, ended=True, failed=True), transient))
    )
    for _ in range(2 * MOST):
        assert deliver(work) is transient
        assert ledger.copies("p") == {}
    assert deliver(work, tries_left=False) is None
    assert ledger.copies("p") == {DIGEST: failed}


@pytest.mark.parametrize("error", [PushCancelled("stopping"), StateUnavailable("away")])
def test_what_the_worker_gives_back_counts_as_no_start(ledger: HashLedger, error: ImagePusherError) -> None:
    work = copying(ledger, ScriptedCopier(*[error] * (2 * MOST), DONE))
    for _ in range(2 * MOST):
        with pytest.raises(type(error)):
            deliver(work)
    assert deliver(work) is None
    assert ledger.copies("p") == {DIGEST: DONE.outcome}


def test_a_copy_that_breaks_fails_every_repository(ledger: HashLedger) -> None:
    """Rule 6.4."""
    assert deliver(copying(ledger, ScriptedCopier(ZeroDivisionError("oops")))) is None
    errors = ledger.copies("p")[DIGEST].errors
    assert set(errors) == {"b/x", "b/y"}
    assert {error.code for error in errors.values()} == {"internal_error"}
    assert "ZeroDivisionError" in errors["b/x"].message


def lose(ledger: HashLedger, times: int) -> None:
    """Let so many workers begin the copy and never come back."""
    for _ in range(times):
        ledger.begin("p", DIGEST)


def test_what_never_came_back_too_often_is_abandoned(ledger: HashLedger) -> None:
    """Rule 7.4: a task that ends its worker each time ends as failed."""
    copier = ScriptedCopier(DONE)
    lose(ledger, MOST)
    assert deliver(copying(ledger, copier)) is None
    assert copier.copies == 0
    assert {error.code for error in ledger.copies("p")[DIGEST].errors.values()} == {PushAbandoned.code}


def test_the_last_attempt_waits_until_no_other_is_made_alone(ledger: HashLedger) -> None:
    """Rule 6.4: what merely was near when a worker died comes to its end."""
    runs = LocalRuns(KeyLocks(), 0.1)
    copier = ScriptedCopier(DONE)
    work = step_of(ledger, copier, runs)
    lose(ledger, MOST - 1)
    with runs.alone("another"), pytest.raises(PartBusy):
        deliver(work)
    assert ledger.lost("p", [DIGEST]) == [MOST - 1]
    assert deliver(work) is None
    assert ledger.copies("p") == {DIGEST: DONE.outcome}


def test_earlier_attempts_are_not_made_alone(ledger: HashLedger) -> None:
    runs = LocalRuns(KeyLocks(), 0.1)
    work = step_of(ledger, ScriptedCopier(DONE), runs)
    lose(ledger, MOST - 2)
    with runs.alone("another"):
        assert deliver(work) is None
