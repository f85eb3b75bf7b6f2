"""The steps of a client that waits, as a table: what it sees, and what it does next."""

from typing import Any

import pytest
from celery.exceptions import ChordError

from tasks.contract import PushReport, Totals
from tasks.errors import ImagePusherError, PushFailed, RequestInvalid, StateUnavailable
from workers.client.waiting import (
    Arrived,
    Away,
    Broken,
    Done,
    Fail,
    Pending,
    PushWait,
    QuestionWait,
    Refused,
    Resend,
    Result,
    Sight,
    Step,
    Wait,
)

REPORT = PushReport(push_id="p", state="succeeded", items=[], totals=Totals())
INVALID = RequestInvalid("no")
FORGOTTEN = StateUnavailable("gone")


class AwayError(Exception):
    """What a Redis that is away raises."""


PUSH: list[tuple[Result, Sight, bool, Step]] = [
    # result, ledger, ours, step
    (Pending(), Sight(), True, Wait()),
    (Pending(taken=True), Sight(), True, Wait()),
    (Pending(), Sight(known=False), True, Resend()),
    (Pending(), Sight(known=False), False, Wait()),
    (Pending(), Sight(report=REPORT), True, Done(REPORT)),
    (Pending(), Sight(report=REPORT), False, Done(REPORT)),
    (Arrived({"state": "succeeded"}), Sight(), True, Done({"state": "succeeded"})),
    (Refused(PushFailed("failed", {"state": "failed"})), Sight(), True, Done({"state": "failed"})),
    (Refused(INVALID), Sight(), True, Fail(INVALID)),
    (Refused(FORGOTTEN), Sight(), True, Fail(FORGOTTEN)),
    (Broken(ChordError("x")), Sight(under_way=True), True, Wait(1.0)),
    (Away(AwayError()), Sight(), True, Wait(1.0)),
]


@pytest.mark.parametrize(("result", "sight", "ours", "step"), PUSH)
def test_a_push_is_waited_for(result: Result, sight: Sight, ours: bool, step: Step) -> None:
    assert PushWait(10, ours=ours).poll(result, sight, 0) == step


def told(step: Step) -> str:
    assert isinstance(step, Fail)
    return f"{step.error.code}: {step.error.message}"


@pytest.mark.parametrize("state", [PushWait(10, ours=True), QuestionWait(10, 0)])
def test_an_error_that_is_not_ours_is_told_with_its_name(state: Any) -> None:
    sight = [Sight()] if isinstance(state, PushWait) else []
    step = state.poll(Broken(ChordError("Callback error")), *sight, 0)
    assert told(step) == f"{ImagePusherError.code}: The worker failed: ChordError: Callback error."


def outage(*events: tuple[float, Result, bool]) -> list[Step]:
    """Return the steps of one wait of ten seconds' patience for times, results, and whether the push is known."""
    state = PushWait(10, ours=True)
    return [state.poll(result, Sight(known=known), now) for now, result, known in events]


def test_an_outage_is_borne_as_long_as_patience_lasts() -> None:
    """Rule 7.5."""
    *borne, last = outage(*((now, Away(AwayError()), True) for now in (5, 10, 15, 15.1)))
    assert borne == [Wait(1.0)] * 3
    assert told(last) == "state_unavailable: The result store does not answer: AwayError."


def test_an_outage_that_ended_is_forgotten() -> None:
    steps = outage((0, Away(AwayError()), True), (9, Pending(), True), (12, Away(AwayError()), True))
    assert steps == [Wait(1.0), Wait(), Wait(1.0)]


def test_a_ledger_that_is_away_is_told_in_its_own_words() -> None:
    state = PushWait(-1, ours=True)
    assert state.poll(Away(FORGOTTEN), Sight(), 0) == Fail(FORGOTTEN)


def test_a_push_that_cannot_be_sent_again_does_not_end_the_outage() -> None:
    """Rule 7.5: Redis came back empty and takes no message; nobody waits for ever."""
    lost, refused = (Pending(), False), (Away(AwayError()), True)
    steps = outage(*((now, *event) for now in (0, 6, 11) for event in (lost, refused)))
    assert steps[:-1] == [Resend(), Wait(1.0)] * 2 + [Resend()]
    assert isinstance(steps[-1], Fail)


def question(*events: tuple[float, Result]) -> list[Step]:
    state = QuestionWait(10, 0)
    return [state.poll(result, now) for now, result in events]


def test_a_question_that_nobody_takes_is_told_once_and_asked_again() -> None:
    steps = question(*((now, Pending()) for now in (1, 3.5, 4, 30, 31, 32, 61.5)))
    assert steps == [Wait(), Wait(unanswered=True), Wait(), Wait(), Resend(), Wait(), Resend()]


def test_the_first_look_may_come_so_late_that_both_are_due() -> None:
    assert question((40, Pending())) == [Resend(unanswered=True)]


def test_a_question_that_a_worker_took_is_left_alone() -> None:
    assert question(*((now, Pending(taken=True)) for now in (1, 4, 40))) == [Wait()] * 3


@pytest.mark.parametrize(
    ("result", "step"),
    [
        (Arrived(1), Done(1)),
        (Refused(INVALID), Fail(INVALID)),
        (Refused(PushFailed("x")), None),
        (Away(AwayError()), Wait(1.0)),
    ],
)
def test_a_question_ends_with_its_answer(result: Result, step: Step | None) -> None:
    (taken,) = question((0, result))
    assert taken == step if step else isinstance(taken, Fail)
