"""The publish step: move every tag of a push and write its report (BEHAVIOUR section 6)."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from tasks import contract, telemetry
from tasks.errors import ImagePusherError, PushUnknown
from tasks.registry.http.warning import listening
from tasks.transfer.plan.plan import Plan
from tasks.transfer.ports import HeldUp, MayRetry, PublishLedger, Runs, bounded
from tasks.transfer.publish.awaited_locks import AwaitedLocks
from tasks.transfer.publish.delivery import Delivery
from tasks.transfer.publish.parts import Publishing
from tasks.transfer.publish.report import build_report, tag_key

PART: Final = "publish"


class PublishStep(msgspec.Struct, frozen=True, kw_only=True):
    """The step that ends a push."""

    parts: Publishing
    runs: Runs
    clock: Callable[[], float]

    @property
    def ledger(self) -> PublishLedger:
        """The ledger of pushes."""
        return self.parts.ledger

    def run(self, push_id: str, *, may_retry: MayRetry, held_up: HeldUp = lambda *_: None) -> contract.PushReport:
        """Move the tags of a push and return its report; raises PushUnknown if its plan is gone.

        A repeated delivery returns the existing report, and keeps the reports of tags that are done. Raises the error
        of a registry if `may_retry` allows it, PushCancelled when the worker shuts down, StateUnavailable,
        PartBusy. `held_up` is told of waits for the locks of tags.
        """
        with self.runs.hold(push_id, PART):
            report = self.ledger.report(push_id)
            if report is not None:
                return report
            plan = self.ledger.plan(push_id)
            if plan is None:
                raise PushUnknown(f"The plan of the push {push_id!r} is gone from the ledger.")
            parts = msgspec.structs.replace(self.parts, locks=AwaitedLocks(self.parts.locks, held_up))
            with listening() as warnings:
                dealt_with = Delivery(parts, plan, bounded(may_retry, plan.tries)).run()
            self.ledger.warn(push_id, warnings)
            return self.finish(plan, *dealt_with)

    def give_up(self, plan: Plan, error: ImagePusherError, *, may_retry: MayRetry) -> contract.PushReport:
        """End a push as it is: its remaining tags fail with `error`; a release that has begun is put back first.

        Raises ReleaseUnsettled, if `may_retry` allows it, for a release that cannot be put back yet; StateUnavailable,
        PartBusy.
        """
        done, delivery = self.ledger.tags(plan.push_id), Delivery(self.parts, plan, may_retry)
        if plan.atomic is not None:
            with self.runs.hold(plan.push_id, PART):
                done |= delivery.put_back(error)
        keys = [(tag_key(number, tag), tag) for number, item in enumerate(plan.items) for tag in item.tags]
        return self.finish(plan, {key: done.get(key) or delivery.left(tag, error) for key, tag in keys}, [])

    def finish(
        self, plan: Plan, tags: dict[str, contract.TagReport], parts: Sequence[contract.Totals]
    ) -> contract.PushReport:
        """Keep and return the report of a push whose tags are all done."""
        copied = [outcome.totals for outcome in self.ledger.copies(plan.push_id).values()]
        warnings = [*plan.warnings, *self.ledger.warnings(plan.push_id)]
        report = build_report(plan, tags, [*copied, *parts], self.clock() - plan.created, warnings)
        report = self.ledger.finish(report)
        telemetry.count(telemetry.PUSHES, state=report.state)
        telemetry.observe(telemetry.PUSH_SECONDS, report.totals.seconds, state=report.state)
        return report
