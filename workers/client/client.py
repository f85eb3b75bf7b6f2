"""The client of running workers: send a push, follow it, read its report, preview it."""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import msgspec
from celery import Celery, states
from celery.exceptions import TimeoutError as NotYet
from kombu.exceptions import OperationalError

from tasks import contract
from tasks.errors import ImagePusherError, StateUnavailable
from tasks.transfer.ports import Ledger
from workers.client.followed import Follow
from workers.client.ledger_reader import LedgerReader
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
from workers.client.watched import Sent, WatchedPush
from workers.settings.broker_urls import place_of

Answer = TypeVar("Answer")

_TICK_SECONDS: Final = 0.2
_POLL_SECONDS: Final = 0.02


class CeleryClient(LedgerReader):
    """A client of one Celery application and the ledger of its workers.

    Errors in `away` mean that the broker or the result store does not answer: they are tolerated for `patience`
    seconds. `unanswered` is called once if no worker takes a question for some seconds.
    """

    embedded = False

    def __init__(
        self,
        app: Celery,
        ledger: Ledger,
        *,
        drops_passwords: bool = False,
        away: tuple[type[Exception], ...] = (),
        patience: float = 0.0,
        unanswered: Callable[[], None] = lambda: None,
    ) -> None:
        self.drops_passwords = drops_passwords
        self._app = app
        super().__init__(ledger)
        self._away: tuple[type[Exception], ...] = (StateUnavailable, *away)
        self._patience = patience
        self._unanswered = unanswered
        self._sent: dict[str, Sent] = {}

    def send(self, request: dict[str, Any], push_id: str) -> None:
        # A push that is run again gets a new task id: the result of the first run is stored under the push id.
        known = self._ledger.request(push_id) is not None
        # Keep any id of the request, even a wrong one: the validation reports it.
        request = request if request.get("push_id") is not None else request | {"push_id": push_id}
        task_id = str(uuid.uuid4()) if known else push_id
        self._send(push_id, Sent(request, task_id, self._ledger.updated(push_id)), announced=not known)

    def wait(self, push_id: str, follow: Follow | None = None) -> contract.PushReport:
        sent = self._sent.get(push_id)
        task_id = sent.task_id if sent else push_id
        watched = WatchedPush(self._ledger, push_id, sent, follow)
        state = PushWait(self._patience, ours=sent is not None)
        away: Away | None = None
        while True:
            step = self._poll_push(state, watched, away or self._look(task_id))
            away = None
            if isinstance(step, Resend) and sent is not None:
                if step.anew:
                    task_id = str(uuid.uuid4())
                    sent = replace(sent, task_id=task_id)
                away = self._resend_push(push_id, sent)
            elif isinstance(step, Done):
                return msgspec.convert(step.value, contract.PushReport)
            else:
                _pass_time(step)

    def preview(self, request: dict[str, Any]) -> contract.Preview:
        return self._ask(contract.PREVIEW_TASK, contract.Preview, request)

    def verify(self, push_id: str) -> contract.Verification:
        return self._ask(contract.VERIFY_TASK, contract.Verification, push_id)

    def undo(self, push_id: str, *, leave_moved: bool = False) -> contract.Undo:
        return self._ask_undo(push_id, dry_run=False, leave_moved=leave_moved)

    def preview_undo(self, push_id: str, *, leave_moved: bool = False) -> contract.Undo:
        return self._ask_undo(push_id, dry_run=True, leave_moved=leave_moved)

    def _ask_undo(self, push_id: str, *, dry_run: bool, leave_moved: bool) -> contract.Undo:
        # A worker of an older version does not know the two flags.
        flags = (dry_run, leave_moved) if leave_moved else (dry_run,) if dry_run else ()
        return self._ask(contract.UNDO_TASK, contract.Undo, push_id, *flags)

    def _send(self, push_id: str, sent: Sent, *, announced: bool) -> None:
        try:
            if announced:
                self._ledger.enqueue(push_id, sent.request, sent.task_id)
            self._app.send_task(contract.PUSH_TASK, args=[sent.request], task_id=sent.task_id)
        except OperationalError as error:
            raise self._broker_away(error) from None
        self._sent[push_id] = sent

    def _broker_away(self, error: OperationalError) -> StateUnavailable:
        reason = str(error).rstrip(".") or type(error).__name__
        place = place_of(str(self._app.conf.broker_url or ""))
        return StateUnavailable(f"The broker at {place} takes no message: {reason}.")

    def _resend_push(self, push_id: str, sent: Sent) -> Away | None:
        """Announce and send again a push that Redis has lost: this client still has the request."""
        try:
            self._send(push_id, sent, announced=True)
        except self._away as error:
            return Away(error)
        return None

    def _poll_push(self, state: PushWait, watched: WatchedPush, result: Result) -> Step:
        try:
            sight = watched.look(result)
        except self._away as error:
            return state.poll(Away(error), Sight(), time.monotonic())
        return state.poll(result, sight, time.monotonic())

    def _ask(self, task: str, kind: type[Answer], *arguments: Any) -> Answer:
        try:
            task_id = self._app.send_task(task, args=arguments).id
        except OperationalError as error:
            raise self._broker_away(error) from None
        except RuntimeError as error:
            # Celery's error for a result store that is lost; it says neither which one nor why.
            if not isinstance(error.__cause__, self._away):
                raise
            place = place_of(str(self._app.conf.result_backend or ""))
            raise StateUnavailable(f"The result store at {place} does not answer: {error.__cause__}") from None
        state = QuestionWait(self._patience, time.monotonic())
        away: Away | None = None
        while True:
            step = state.poll(away or self._look(task_id), time.monotonic())
            away = None
            if isinstance(step, Wait | Resend) and step.unanswered:
                self._unanswered()
            if isinstance(step, Resend):
                away = self._resend_question(task, arguments, task_id)
            elif isinstance(step, Done):
                return msgspec.convert(step.value, kind)
            else:
                _pass_time(step)

    def _resend_question(self, task: str, arguments: Sequence[Any], task_id: str) -> Away | None:
        try:
            self._app.send_task(task, args=arguments, task_id=task_id)
        except self._away as error:
            return Away(error)
        return None

    def _look(self, task_id: str) -> Result:
        """Return the result of a task after a short wait at most."""
        result = self._app.AsyncResult(task_id)
        try:
            return Arrived(result.get(timeout=_TICK_SECONDS, interval=_POLL_SECONDS))
        except NotYet:
            pass
        except ImagePusherError as error:
            return Refused(error)
        except self._away as error:
            return Away(error)
        except Exception as error:  # noqa: BLE001 - any error of a worker, rebuilt by Celery
            return Broken(error)
        try:
            return Pending(taken=result.state != states.PENDING)
        except self._away as error:
            return Away(error)


def _pass_time(step: Step) -> None:
    """Sleep for a waiting step; raise the error of a failed step."""
    if isinstance(step, Fail):
        raise step.error
    if isinstance(step, Wait):
        time.sleep(step.seconds)
