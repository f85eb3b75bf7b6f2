"""The data for the page of one push, read from the ledger."""

from collections.abc import Iterable
from typing import Any

import msgspec

from tasks import contract
from tasks.transfer.plan.plan import Plan, PlannedTag
from tasks.transfer.ports import Intervention, PageLedger
from workers.page.holds import holds_on, possible_holds, tag_names
from workers.page.listing import references_of
from workers.recorded_push import Remembered, remember


class CopyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One copy of the plan and its progress, in bytes."""

    digest: str
    platform: str | None
    source: str
    destinations: list[str]
    done: int = 0
    total: int = 0
    ended: bool = False
    failed: bool = False


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One error, and all references that it affects."""

    fault: contract.Fault
    references: list[str]


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """One push: `items` as in its report; `planned` marks tags that have not moved yet.

    `holds` are those on its tags, by tag.
    """

    push_id: str
    state: str
    producer: str | None
    created: float
    updated: float
    task_id: str | None
    waiting: contract.Waiting | None
    refusal: contract.Fault | None
    items: list[dict[str, Any]]
    failures: list[Failure]
    warnings: list[str]
    copies: list[CopyRow]
    totals: contract.Totals | None
    tags: int
    tags_done: int
    actions: list[str]
    interventions: list[Intervention]
    holds: dict[str, contract.Hold]
    atomic: str | None = None


def read_details(ledger: PageLedger, push_id: str) -> Details:
    """Return the details of a push; raises PushUnknown and StateUnavailable."""
    progress = ledger.progress(push_id)
    remembered = remember(ledger, progress)
    plan, report = ledger.plan(push_id), ledger.report(push_id)
    request = ledger.request(push_id)
    if report is not None:
        items: list[dict[str, Any]] = msgspec.to_builtins(report.items)
    else:
        items = _items(plan, ledger.tags(push_id).values(), request)
    names = tag_names(items)
    holds = holds_on(ledger, names)
    has_moved = any(intent.changes for intent in ledger.intents(push_id).values())
    possible = possible_actions(remembered, has_request=request is not None, has_moved=has_moved)
    return Details(
        push_id=push_id,
        state=remembered.state,
        producer=remembered.producer,
        created=progress.created,
        updated=progress.updated,
        task_id=ledger.task_id(push_id),
        waiting=progress.waiting,
        refusal=ledger.refusal(push_id),
        items=items,
        failures=_failures(items),
        warnings=report.warnings if report is not None else plan.warnings if plan is not None else [],
        copies=_copies(plan, progress),
        totals=report.totals if report is not None else None,
        tags=progress.tags,
        tags_done=remembered.tags_done,
        actions=[*possible, *possible_holds(names, holds)],
        interventions=ledger.interventions(push_id),
        holds=holds,
        atomic=plan.atomic if plan is not None else None,
    )


def possible_actions(push: Remembered, *, has_request: bool, has_moved: bool) -> list[str]:
    """Return the possible actions on a push in its current state, without holds of its tags. Pure."""
    state = push.progress.state
    stands = state in contract.ENDED or state == "interrupted"
    actions = []
    if stands and has_request:
        actions.append("retry")
    if not stands and not push.cancelled and push.undo is None:
        actions.append("cancel")
    if stands and has_moved and push.undo not in {"begun", "succeeded"}:
        actions.append("undo")
    return actions


def _items(
    plan: Plan | None, done: Iterable[contract.TagReport], request: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """Return the items of an open push, as in a report; `planned` marks tags that have not moved."""
    if plan is None:
        return [
            msgspec.to_builtins(contract.ItemReport(source=source)) | {"tags": [_unplanned(tag) for tag in tags]}
            for source, tags in references_of(request)
        ]
    reports = {tag.reference: tag for tag in done}
    return [
        msgspec.to_builtins(item.report([]))
        | {"tags": [_planned(tag, reports.get(str(tag.reference))) for tag in item.tags]}
        for item in plan.items
    ]


def _planned(tag: PlannedTag, report: contract.TagReport | None) -> dict[str, Any]:
    if report is not None:
        return _built(report)
    return _built(tag.as_planned()) | {"planned": True}


def _unplanned(reference: str) -> dict[str, Any]:
    """Return a requested tag that has no plan yet."""
    return _built(contract.TagReport(reference=reference, action="skipped")) | {"action": "", "planned": True}


def _built(report: contract.TagReport) -> dict[str, Any]:
    built: dict[str, Any] = msgspec.to_builtins(report)
    return built


def _failures(items: Iterable[dict[str, Any]]) -> list[Failure]:
    """Return each error once, with everything that it affects; its message says what to do (BEHAVIOUR 6.8)."""
    befallen: dict[contract.Fault, list[str]] = {}
    for item in items:
        for tag in item["tags"]:
            if tag["error"]:
                befallen.setdefault(contract.Fault(**tag["error"]), []).append(tag["reference"])
        if item["error"] and not item["tags"]:
            befallen.setdefault(contract.Fault(**item["error"]), []).append(item["source"])
    return [Failure(fault=fault, references=references) for fault, references in befallen.items()]


def _copies(plan: Plan | None, progress: contract.Progress) -> list[CopyRow]:
    known = {copy.digest: copy for copy in progress.copies}
    rows = []
    for planned in plan.copies if plan is not None else []:
        copy = known.get(planned.digest) or contract.CopyProgress(digest=planned.digest)
        rows.append(
            CopyRow(
                digest=planned.digest,
                platform=planned.platform,
                source=str(planned.source),
                destinations=[str(place) for place in planned.destinations],
                done=copy.done,
                total=copy.total,
                ended=copy.ended,
                failed=copy.failed,
            )
        )
    return rows
