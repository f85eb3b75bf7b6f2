"""Take a push on: validate it, resolve its sources, look at its destinations, plan it."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final

from tasks import contract
from tasks.errors import RegistryUnavailable, RequestInvalid
from tasks.registry.repository import Registries
from tasks.transfer.image import SourceImage
from tasks.transfer.order import Order, read_order
from tasks.transfer.plan import Plan, plan_push
from tasks.transfer.ports import Ledger
from tasks.transfer.prepare import Findings, prepare
from tasks.transfer.target import Target

LOG: Final = logging.getLogger(__name__)
_LATER: Final = frozenset({"registry_unavailable", "rate_limited"})


@dataclass(frozen=True)
class Accepting:
    """What taking a push on needs."""

    registries: Registries
    ledger: Ledger
    targets: Mapping[str, Target]
    executor: Executor
    clock: Callable[[], float]

    def accept(self, push_id: str, request: Any, *, last_try: bool) -> Plan | contract.PushReport:
        """Return the plan of a push, or its report if it succeeded already; a push that failed is planned anew.

        Raises RequestInvalid before anything is written; unless this is the `last_try`, raises RegistryUnavailable
        where a registry may answer later.
        """
        order = read_order(request, self.targets)
        report = self.ledger.report(push_id)
        if report is not None and self.ledger.request(push_id) != request:
            raise RequestInvalid(f"The push id {push_id!r} belongs to another request; give this one an id of its own.")
        if report is not None and report.state == "succeeded":
            return report
        if report is not None:
            self.ledger.reopen(push_id)
        self.ledger.accept(push_id, request)
        plan = self.ledger.plan(push_id)
        return plan or self._plan(push_id, order, last_try=last_try)

    def preview(self, request: Any) -> Plan:
        """Return the plan of a push that is not to be done; asks for pull scope only."""
        order = read_order(request, self.targets)
        sources, tags = prepare(order, self.registries, self.executor, push=False)
        return plan_push(order, sources, tags, push_id=order.push_id or "", created=self.clock())

    def _plan(self, push_id: str, order: Order, *, last_try: bool) -> Plan:
        for warning in order.warnings:
            LOG.warning("Push %s: %s", push_id, warning)
        sources, tags = findings = prepare(order, self.registries, self.executor, push=True)
        later = _unavailable(findings)
        if later is not None and not last_try:
            raise RegistryUnavailable(later.message)
        plan = plan_push(order, sources, tags, push_id=push_id, created=self.clock())
        for found in sources:
            if isinstance(found, SourceImage):
                self.ledger.keep_content(push_id, found.original_digest, found.original_content)
        self.ledger.save_plan(plan)
        return plan


def _unavailable(findings: Findings) -> contract.Fault | None:
    """Return the first fault of a registry that may answer later."""
    sources, tags = findings
    faults = [found for found in sources if isinstance(found, contract.Fault)]
    faults += [tag.error for of_item in tags for tag in of_item if tag.error is not None]
    return next((fault for fault in faults if fault.code in _LATER), None)
