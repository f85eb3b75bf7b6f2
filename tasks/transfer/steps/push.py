"""The push step: validate a request, resolve its sources, look at its destinations, plan it."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tasks import contract, telemetry
from tasks.errors import (
    ImagePusherError,
    NotPermitted,
    PushAbandoned,
    PushCancelledByUser,
    RequestInvalid,
    longest_wait,
)
from tasks.registry.http.warning import listening
from tasks.registry.repository import Registries
from tasks.transfer.lost_starts import Attempts
from tasks.transfer.plan.findings import Findings
from tasks.transfer.plan.make_plan import plan_push
from tasks.transfer.plan.plan import Plan
from tasks.transfer.plan.resolve import resolve
from tasks.transfer.ports import MayRetry, PushLedger, Runs, bounded
from tasks.transfer.request.policy import WORKERS, Policy
from tasks.transfer.request.target import Target
from tasks.transfer.request.valid import ValidRequest
from tasks.transfer.request.validation import validate

if TYPE_CHECKING:
    from tasks.transfer.plan.keyless import TrustRoot

LOG: Final = logging.getLogger(__name__)
PART: Final = "push"


class PushStep(msgspec.Struct, frozen=True, kw_only=True):
    """The step that plans a push; `executor` is for its sources and tags."""

    registries: Registries
    ledger: PushLedger
    runs: Runs
    targets: Mapping[str, Target]
    policy: Policy = msgspec.field(default_factory=Policy)
    trust: "TrustRoot | None" = None
    executor: Executor
    attempts: Attempts
    clock: Callable[[], float]

    def run(
        self,
        push_id: str,
        request: Any,
        *,
        task_id: str,
        may_retry: MayRetry,
        redelivered: bool,
        sender: str | None = None,
    ) -> Plan | contract.PushReport:
        """Return the plan of a push, or its report if it ended; a failed or undone push is planned anew.

        A repeated message (`redelivered`, or the task of any earlier run) does not run a failed or undone push again:
        whoever got hold of a message could send it. `sender` signed the message; if a worker sent it again, the
        producer is taken from the ledger. Raises RequestInvalid and NotPermitted before anything is written, and the
        error of a registry if `may_retry` allows it.
        """
        producer = (self.ledger.producer(push_id) or sender) if sender == WORKERS else sender
        try:
            valid = self._permitted(push_id, request, producer)
        except (RequestInvalid, NotPermitted) as error:
            self.ledger.refuse(push_id, contract.Fault.of(error))
            telemetry.count(telemetry.REQUESTS_REFUSED, reason=telemetry.INVALID)
            raise
        with self.runs.hold(push_id, PART):
            report, plan = self.ledger.report(push_id), self.ledger.plan(push_id)
            if report is not None or plan is not None:
                self._check_same(push_id, request)
            if report is not None:
                done = report.state == "succeeded" and not self.ledger.is_undone(push_id)
                if done or redelivered or self._was_taken(push_id, task_id):
                    return report
                self.policy.check_push(producer, "retry", valid)
                self.ledger.reopen(push_id)
            self._accept(push_id, request, task_id, producer)
            if report is None and plan is not None:
                return plan
            if self.ledger.is_cancelled(push_id):
                told = f"The push {push_id} was cancelled. `imagepusher retry {push_id}` completes it."
                return self._fail(push_id, valid, PushCancelledByUser(told))
            (lost,) = self.ledger.lost(push_id, [PART])
            try:
                with self.attempts.attempt(push_id, PART, lost, f"Planning the push {push_id}"):
                    return self._plan(push_id, valid, may_retry)
            except PushAbandoned as error:
                return self._fail(push_id, valid, error)
            except ImagePusherError:
                raise
            except Exception as error:
                LOG.exception("Push %s: planning broke", push_id)
                broken = ImagePusherError(f"Planning the push broke ({type(error).__name__}): see the worker's log.")
                return self._fail(push_id, valid, broken)

    def _was_taken(self, push_id: str, task_id: str) -> bool:
        return self.ledger.task_id(push_id) == task_id or self.ledger.was_accepted(push_id, task_id)

    def _permitted(self, push_id: str, request: Any, producer: str | None) -> ValidRequest:
        # The request may have the id too: its validation lists all faults, this one among them.
        valid = self._checked(request, producer)
        if not contract.is_push_id(push_id):
            raise RequestInvalid(
                "The id of the push must be a string of at most 128 letters, digits, '.', '_', ':' and '-'."
            )
        return valid

    def _checked(self, request: Any, producer: str | None) -> ValidRequest:
        valid = validate(request, self.targets)
        self.policy.check_push(producer, "push", valid)
        self.registries.check_hosts("source", (item.source.registry for item in valid.items))
        self.registries.check_hosts(
            "destination", (each.registry for item in valid.items for each in item.destinations)
        )
        return valid

    def _check_same(self, push_id: str, request: Any) -> None:
        if not contract.is_same_request(self.ledger.request(push_id), request):
            raise RequestInvalid(f"The push id {push_id!r} belongs to another request; give this one an id of its own.")

    def _accept(self, push_id: str, request: Any, task_id: str, producer: str | None) -> None:
        if producer is not None and producer != WORKERS:
            self.ledger.note_producer(push_id, producer)
        self.ledger.accept(push_id, request, task_id)
        telemetry.count(telemetry.REQUESTS, producer=producer or "")

    def give_up(self, push_id: str, error: ImagePusherError) -> None:
        """End a push that has no plan: all of its tags fail with `error`."""
        self._fail(push_id, validate(self.ledger.request(push_id), self.targets), error)

    def check_undo(self, push_id: str, producer: str | None) -> None:
        """Raise NotPermitted unless the producer may undo at each destination of a push, whether it moved or not.

        Otherwise a push that has not moved a tag yet could be stopped by an undo of anybody's.
        """
        if self.policy.binds(producer):
            valid = validate(self.ledger.request(push_id), self.targets)
            self.policy.check(producer, "undo", None, (each for item in valid.items for each in item.destinations))

    def preview(self, request: Any, producer: str | None = None) -> Plan:
        """Return the plan of a dry run; asks for pull scope only. Raises NotPermitted."""
        valid = self._checked(request, producer)
        found = self._resolve(valid, push=False)
        return plan_push(valid, found, push_id=valid.push_id or "", created=self.clock())

    def _resolve(self, valid: ValidRequest, *, push: bool) -> Findings:
        return resolve(valid, self.registries, self.executor, push=push, facts=self.ledger, trust=self.trust)

    def _fail(self, push_id: str, valid: ValidRequest, error: ImagePusherError) -> contract.PushReport:
        report = self.ledger.finish(_failed(push_id, valid, error))
        telemetry.count(telemetry.PUSHES, state=report.state)
        return report

    def _plan(self, push_id: str, valid: ValidRequest, may_retry: MayRetry) -> Plan:
        for warning in valid.warnings:
            LOG.warning("Push %s: %s", push_id, warning)
        begun = self.clock()
        with listening() as warnings:
            found = self._resolve(valid, push=True)
        self.ledger.warn(push_id, warnings)
        later = longest_wait(found.errors)
        if later is not None and bounded(may_retry, valid.target.tries)(later):
            raise later
        plan = plan_push(valid, found, push_id=push_id, created=begun)
        for digest, content in found.contents().items():
            self.ledger.keep_content(push_id, digest, content)
        # A delivery that stood still may plan after another one, whose copies are under way.
        return self.ledger.save_plan(plan)


def _failed(push_id: str, valid: ValidRequest, error: ImagePusherError) -> contract.PushReport:
    """Return the report of a push that never had a plan."""
    fault = contract.Fault.of(error)
    items = [
        contract.ItemReport(
            source=str(item.source),
            error=fault,
            tags=[contract.TagReport(reference=str(tag), action="failed", error=fault) for tag in item.destinations],
        )
        for item in valid.items
    ]
    return contract.PushReport(push_id=push_id, state="failed", items=items, totals=contract.Totals())
