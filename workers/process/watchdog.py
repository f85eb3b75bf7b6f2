"""The watchdog: it resumes pushes that make no progress, whatever the cause, or ends them visibly as failed.

It runs in a thread of every worker; only the worker that holds the lease acts.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from celery import Celery, states

from tasks import contract, telemetry
from tasks.celery_glue.canvas import drive_on, send_again
from tasks.celery_glue.retry_decision import Returns
from tasks.celery_glue.runtime import Runtime
from tasks.contract import PushReport
from tasks.coordination.redis.leases import Leases
from tasks.errors import (
    ImagePusherError,
    LockUnavailable,
    PushCancelledByUser,
    PushFailed,
    PushStalled,
    PushUnknown,
    ReleaseUnsettled,
    RequestInvalid,
)
from tasks.transfer.ports import OpenPush
from tasks.transfer.publish.report import summary
from tasks.transfer.steps.publish import PART as PUBLISH
from tasks.transfer.watchdog_verdict import Patience, Verdict
from workers.broker.queues import queue_lengths
from workers.broker.reclaim import reclaim
from workers.observability.pushes import log_ended_push, log_failed_push

LOG: Final = logging.getLogger(__name__)
_LOOKS_A_STALL: Final = 4
_LOOKS_A_SEARCH: Final = 20


class Watchdog:
    """A thread that examines all open pushes several times within the stall time."""

    def __init__(self, app: Celery, runtime: Runtime, leases: Leases, key: str, patience: Patience) -> None:
        self._app = app
        self._runtime = runtime
        self._leases = leases
        self._key = key
        self._patience = patience
        self._pause = patience.stall_seconds / _LOOKS_A_STALL
        self._looks = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; another worker's watchdog takes over."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._pause):
            try:
                with self._leases.hold(self._key, "The watchdog's post", 0) as lease:
                    while not self._stopped.is_set():
                        lease.ensure()
                        self.look()
                        self._stopped.wait(self._pause)
            except LockUnavailable:
                continue
            except Exception as error:  # noqa: BLE001 - after any error, the next round follows
                LOG.warning("The watchdog could not look (%s), and tries again.", error)

    def look(self) -> None:
        """Return the messages of dead workers to their queues, and judge every open push once."""
        ledger, now = self._runtime.ledger, self._runtime.clock()
        reclaim(self._app, self._runtime.runs, now - self._patience.stall_seconds)
        if self._looks % _LOOKS_A_SEARCH == 0:
            self._search()
        self._looks += 1
        pushes = ledger.open_pushes()
        quiet = [push for push in pushes if push.ended or not push.known or self._patience.is_quiet(push, now)]
        lengths = queue_lengths(self._app) if any(not push.ended for push in quiet) else {}
        for push in quiet:
            verdict = self._patience.judge(push, now, queued=self._is_queued(push, lengths))
            if verdict is Verdict.WAIT:
                continue
            try:
                with telemetry.context(push_id=push.push_id):
                    self._act(push, verdict, now)
            except Exception as error:  # noqa: BLE001 - an error in one push must not affect the others
                LOG.warning("The watchdog could not %s the push %s: %s", verdict.value, push.push_id, error)

    def _search(self) -> None:
        """Find open pushes that are missing from the list: a Redis that evicts keys may drop the whole list."""
        ledger = self._runtime.ledger
        for push in ledger.overlooked():
            if not self._has_ended(push.task_id):
                LOG.warning("The push %s was missing from the open ones: does Redis evict keys?", push.push_id)
                ledger.list_again(push.push_id)

    def _is_queued(self, push: OpenPush, lengths: Mapping[str, int]) -> bool:
        own = (contract.COPY_QUEUE, contract.PUBLISH_QUEUE) if push.planned else (contract.PUSH_QUEUE,)
        return any(lengths.get(queue, 0) for queue in own)

    def _act(self, push: OpenPush, verdict: Verdict, now: float) -> None:
        ledger = self._runtime.ledger
        if verdict is Verdict.STORE_RESULT:
            self._store(push, now)
            return
        if verdict is not Verdict.DECLARE_LOST and self._is_revoked(push.task_id):
            # Also if the task expired, as its sender wanted, before a worker took it.
            told = f"The task of the push {push.push_id} was revoked, or expired."
            self._give_up(push, PushCancelledByUser(f"{told} `imagepusher retry {push.push_id}` completes it."))
            return
        LOG.warning("The push %s was not heard of for %d s: %s", push.push_id, now - push.quiet_since, verdict.value)
        telemetry.count(telemetry.WATCHDOG, action=verdict.name.lower())
        if verdict is Verdict.DECLARE_LOST:
            lost = f"The ledger lost the push {push.push_id!r}: was its Redis emptied, or does it evict keys?"
            self._end(push, PushUnknown(lost))
            return
        if verdict is Verdict.GIVE_UP:
            # The next round stores its result, unless a worker does so before.
            stalled = f"The push {push.push_id} was sent again {push.drives} times and made no progress."
            self._give_up(push, PushStalled(stalled))
            return
        ledger.note_drive(push)
        with telemetry.span("watchdog", push_id=push.push_id, verdict=verdict.value):
            self._send(push)

    def _send(self, push: OpenPush) -> None:
        ledger = self._runtime.ledger
        plan = ledger.plan(push.push_id)
        if plan is not None:
            ended = frozenset(ledger.copies(push.push_id))
            drive_on(self._app, plan, ended, push.task_id)
            return
        request = ledger.request(push.push_id)
        if request is not None:
            send_again(self._app, request, push.task_id)

    def _give_up(self, push: OpenPush, error: ImagePusherError) -> None:
        plan = self._runtime.ledger.plan(push.push_id)
        if plan is not None:
            # No further tries; but half of a release does not stay because its registry does not serve just now.
            returns = Returns(self._runtime, push.push_id, PUBLISH, self._runtime.task_tries)
            try:
                self._runtime.publish.give_up(plan, error, may_retry=returns.may_follow)
            except ReleaseUnsettled as later:
                returns.wait(later)
                raise
            return
        try:
            self._runtime.push.give_up(push.push_id, error)
        except RequestInvalid as invalid:
            # The request was valid when a worker accepted it: the settings have changed since.
            self._end(push, invalid)

    def _store(self, push: OpenPush, now: float) -> None:
        """Close a push that has a result; store the result if the worker that ended the push failed to.

        The result is stored for every task that waits for it. A noted task that has not ended is sent again: the push
        may have failed, and must then run once more.
        """
        ledger = self._runtime.ledger
        lacking = [task_id for task_id in push.waiting if not self._has_report(task_id)]
        lost = [task_id for task_id in push.noted if not self._has_ended(task_id)]
        if lacking or lost:
            report = ledger.report(push.push_id)
            if report is None or not self._patience.is_quiet(push, now):
                return
            self._store_report(report, lacking)
        request = ledger.request(push.push_id) if lost else None
        if request is not None:
            ledger.touch(push.push_id)
            for task_id in lost:
                send_again(self._app, request, task_id)
            return
        ledger.close(push)

    def _store_report(self, report: PushReport, task_ids: Sequence[str]) -> None:
        document = msgspec.to_builtins(report)
        for task_id in task_ids:
            if report.state == "succeeded":
                self._app.backend.store_result(task_id, document, states.SUCCESS)
                log_ended_push(document)
            else:
                self._store_failure(task_id, PushFailed(summary(report), document))

    def _end(self, push: OpenPush, error: ImagePusherError) -> None:
        """End a push that has no report."""
        for task_id in (*push.waiting, *push.noted):
            if not self._has_ended(task_id):
                self._store_failure(task_id, error)
        self._runtime.ledger.close(push)

    def _is_revoked(self, task_id: str) -> bool:
        state: str = self._app.AsyncResult(task_id).state
        return state == states.REVOKED

    def _has_ended(self, task_id: str) -> bool:
        return bool(self._app.AsyncResult(task_id).state in states.READY_STATES)

    def _has_report(self, task_id: str) -> bool:
        """Tell whether the result of a task is a report: a broken chord leaves an error there."""
        result = self._app.AsyncResult(task_id)
        return bool(result.state == states.SUCCESS or isinstance(result.result, PushFailed))

    def _store_failure(self, task_id: str, error: ImagePusherError) -> None:
        self._app.backend.store_result(task_id, error, states.FAILURE)
        log_failed_push(error)
