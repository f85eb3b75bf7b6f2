"""One push in this process: the three steps of a push as a chord runs them, on threads instead of workers.

A push with a broker is a Celery chord, because its parts must survive their workers. Here all parts end with the
process, and Celery would only slow down the start of the command.
"""

import heapq
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

import msgspec

from tasks import contract, telemetry
from tasks.celery_glue.retry_decision import Returns
from tasks.celery_glue.runtime import Runtime
from tasks.errors import ImagePusherError, PushCancelled, Retry
from tasks.transfer.plan.plan import Plan
from tasks.transfer.steps.publish import PART as PUBLISH
from tasks.transfer.steps.push import PART as PUSH

Result = TypeVar("Result")

# Seconds that a part waits for a lock: the thread that holds it lets it go soon.
_SOON: Final = 0.05


class LocalPush:
    """A push that this process runs; copies run on `executor`, at most `at_once` of them."""

    def __init__(
        self, here: Runtime, push_id: str, executor: Executor, at_once: int, cancelled: threading.Event
    ) -> None:
        self._here = here
        self._push_id = push_id
        self._executor = executor
        self._at_once = at_once
        self._cancelled = cancelled

    def run(self, request: Any, task_id: str, earlier: "Future[contract.PushReport] | None") -> contract.PushReport:
        """Plan, copy and publish; return the report, failed or not.

        If another run of this process does the work already, return the report of `earlier`. Raises ImagePusherError if
        there is no report.
        """
        with telemetry.span(contract.PUSH_TASK, push_id=self._push_id):
            planned = self._repeat(
                PUSH,
                lambda returns: self._here.push.run(
                    self._push_id, request, task_id=task_id, may_retry=returns.may_follow, redelivered=False
                ),
            )
            if isinstance(planned, contract.PushReport):
                return planned
            if earlier is not None and self._here.ledger.was_sent(self._push_id):
                return earlier.result()
            self._here.ledger.mark_sent(self._push_id)
            self._copy_all(planned)
            with telemetry.span(contract.PUBLISH_TASK, push_id=self._push_id):
                return self._repeat(
                    PUBLISH,
                    lambda returns: self._here.publish.run(
                        self._push_id, may_retry=returns.may_follow, held_up=returns.held_up
                    ),
                )

    def _repeat(self, part: str, run: Callable[[Returns], Result]) -> Result:
        """Run a part until it has a result, with the pauses that its errors ask for."""
        retries = 0
        while True:
            returns = Returns(self._here, self._push_id, part, retries)
            try:
                return run(returns)
            except ImagePusherError as error:
                self._cancelled.wait(self._pause(returns, error))
                retries += error.retry_after != 0

    def _pause(self, returns: Returns, error: ImagePusherError) -> float:
        """Return the seconds until the next run; raises the error if there is none."""
        if error.retry is Retry.NEVER or self._cancelled.is_set():
            raise error
        return _SOON if error.retry_after == 0 else returns.wait(error)

    def _copy_all(self, plan: Plan) -> None:
        """Run all copies; one that waits for a registry leaves its place to others."""
        due = [_Due(0.0, position, copy.digest) for position, copy in enumerate(plan.copies)]
        ended: SimpleQueue[_Due | BaseException | None] = SimpleQueue()
        running = 0
        while due or running:
            now = time.monotonic()
            while due and due[0].when <= now and running < self._at_once:
                self._executor.submit(self._copy, heapq.heappop(due), ended)
                running += 1
            waits = due and running < self._at_once
            try:
                came = ended.get(timeout=max(0.0, due[0].when - now) if waits else None)
            except Empty:
                continue
            running -= 1
            if isinstance(came, BaseException):
                raise came
            if came is not None:
                heapq.heappush(due, came)
            if self._cancelled.is_set():
                raise PushCancelled("The process ends.")

    def _copy(self, due: "_Due", ended: "SimpleQueue[_Due | BaseException | None]") -> None:
        """Run one copy, and tell that it ended, has to run again, or failed for good."""
        try:
            ended.put(self._copy_once(due))
        except BaseException as error:  # noqa: BLE001 - the thread of the push raises it
            ended.put(error)

    def _copy_once(self, due: "_Due") -> "_Due | None":
        returns = Returns(self._here, self._push_id, due.digest, due.retries)
        with telemetry.span(contract.COPY_TASK, push_id=self._push_id, digest=due.digest):
            try:
                again = self._here.copy.run(self._push_id, due.digest, may_retry=returns.may_follow)
            except ImagePusherError as error:
                again = error
            if again is None:
                return None
            seconds = self._pause(returns, again)
        return due.after(seconds, counted=again.retry_after != 0)


class _Due(msgspec.Struct, frozen=True, order=True):
    """A copy that runs at `when`, on the monotonic clock; those that are due at once keep the order of the plan."""

    when: float
    position: int
    digest: str
    retries: int = 0

    def after(self, seconds: float, *, counted: bool) -> "_Due":
        return _Due(time.monotonic() + seconds, self.position, self.digest, self.retries + counted)
