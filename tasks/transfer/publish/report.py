"""What keeps a tag from moving, and the report of a push. Pure (BEHAVIOUR section 6)."""

from collections.abc import Mapping, Sequence

import msgspec

from tasks import contract
from tasks.errors import SourceChildMissing
from tasks.transfer.copy.totals import total
from tasks.transfer.plan.plan import Plan, PlannedItem, PlannedTag
from tasks.transfer.ports import CopyOutcome


def obstacle(
    item: PlannedItem, tag: PlannedTag, copies: Mapping[str, CopyOutcome], withheld: contract.Fault | None
) -> contract.TagReport | None:
    """Return the report of a tag that must not move; None if nothing stands in its way.

    `withheld` is why the tags of its item stay though nothing is wrong with this one.
    """
    fault = item.error or tag.error or _copy_fault(item, tag, copies)
    if fault is not None:
        return unmoved(tag, fault)
    if tag.action == "unchanged":
        return None
    return None if withheld is None else unmoved(tag, withheld, "skipped")


def withheld_tags(plan: Plan, copies: Mapping[str, CopyOutcome]) -> list[contract.Fault | None]:
    """Return for each item why its tags stay, None if they do not: those that belong together move together."""
    broken = [
        item.error is not None or any(tag.error or _copy_fault(item, tag, copies) for tag in item.tags)
        for item in plan.items
    ]
    faults = [
        contract.Fault(
            "withheld",
            f"Something else of this {plan.atomic} failed (source {item.source}), and its tags move together or"
            " not at all. Mend that and push again.",
        )
        if is_broken
        else None
        for item, is_broken in zip(plan.items, broken, strict=True)
    ]
    match plan.atomic:
        case "item":
            return faults
        case "push":
            return [next(filter(None, faults), None)] * len(faults)
        case None:
            return [None] * len(faults)


def preview_obstacles(plan: Plan, preview: contract.Preview) -> contract.Preview:
    """Return a preview in which each tag that would stay says why, withheld ones included (BEHAVIOUR 10.1)."""
    copies = {
        copy.digest: CopyOutcome(
            digest=copy.digest, faults={there.repository: there.error for there in copy.repositories if there.error}
        )
        for copy in preview.copies
    }
    withheld = withheld_tags(plan, copies)
    items = [
        msgspec.structs.replace(
            report,
            tags=[obstacle(item, tag, copies, fault) or told for tag, told in zip(item.tags, report.tags, strict=True)],
        )
        for item, report, fault in zip(plan.items, preview.items, withheld, strict=True)
    ]
    return msgspec.structs.replace(preview, items=items)


def build_report(
    plan: Plan, tags: Mapping[str, contract.TagReport], parts: Sequence[contract.Totals], seconds: float
) -> contract.PushReport:
    """Return the report of a push whose tags have all been dealt with."""
    items = [
        contract.ItemReport(
            source=item.source,
            kind=item.kind,
            digest=item.digest,
            error=item.error or _shared_fault([tags[tag.reference] for tag in item.tags]),
            tags=[tags[tag.reference] for tag in item.tags],
        )
        for item in plan.items
    ]
    failed = [tag.action in {"failed", "skipped"} for item in items for tag in item.tags]
    state: contract.State = "succeeded"
    if any(failed):
        state = "failed" if all(failed) else "partial"
    return contract.PushReport(push_id=plan.push_id, state=state, items=items, totals=total(list(parts), seconds))


def summary(report: contract.PushReport) -> str:
    """Return one line that says which tags failed and why."""
    tags = [tag for item in report.items for tag in item.tags]
    failed = [tag for tag in tags if tag.action in {"failed", "skipped"}]
    named = "; ".join(f"{tag.reference}: {tag.error.code if tag.error else tag.action}" for tag in failed[:5])
    more = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""  # noqa: PLR2004 - as many as a line holds
    return f"Push {report.push_id}: {len(failed)} of {len(tags)} tags failed ({named}{more})."


def _copy_fault(item: PlannedItem, tag: PlannedTag, copies: Mapping[str, CopyOutcome]) -> contract.Fault | None:
    """Return the fault of the first copy that this tag needs and that did not reach its repository.

    What the source has lost fails every tag of the item (BEHAVIOUR 2.3).
    """
    if tag.action == "unchanged":
        return None
    repository = f"{tag.registry}/{tag.repository}"
    for digest in item.needs:
        outcome = copies.get(digest)
        if outcome is None:
            return contract.Fault("copy_incomplete", f"The copy of {digest} did not report an outcome. Push again.")
        lost = (fault for fault in outcome.faults.values() if fault.code == SourceChildMissing.code)
        fault = outcome.faults.get(repository) or next(lost, None)
        if fault is not None:
            return fault
    return None


def unmoved(tag: PlannedTag, fault: contract.Fault, action: contract.Action = "failed") -> contract.TagReport:
    """Return the report of a tag that stayed as it was."""
    return contract.TagReport(
        reference=tag.reference, action=action, old_digest=tag.old_digest, new_digest=tag.old_digest, error=fault
    )


def _shared_fault(tags: Sequence[contract.TagReport]) -> contract.Fault | None:
    """Return the fault of an item of which every tag failed for the same reason."""
    faults = {tag.error.code: tag.error for tag in tags if tag.error is not None and tag.action == "failed"}
    if len(faults) != 1 or not all(tag.action == "failed" for tag in tags):
        return None
    return msgspec.structs.replace(next(iter(faults.values())))
