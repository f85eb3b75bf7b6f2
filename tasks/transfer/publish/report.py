"""What keeps a tag from moving, and the report of a push. Pure (BEHAVIOUR section 6)."""

from collections.abc import Mapping, Sequence

from tasks import contract
from tasks.errors import CopyIncomplete, ImagePusherError, SourceChildMissing, Withheld
from tasks.transfer.copy.totals import total
from tasks.transfer.plan.plan import Plan, PlannedItem, PlannedTag
from tasks.transfer.ports import CopyOutcome


def obstacle(
    item: PlannedItem, tag: PlannedTag, copies: Mapping[str, CopyOutcome], withheld: ImagePusherError | None
) -> contract.TagReport | None:
    """Return the report of a tag that must not move; None if nothing stands in its way.

    `withheld` is why the tags of its item stay though nothing is wrong with this one.
    """
    error = item.error or tag.error or _copy_error(item, tag, copies)
    if error is not None:
        return unmoved(tag, error)
    if tag.action == "unchanged":
        return None
    return None if withheld is None else unmoved(tag, withheld, "skipped")


def withheld_tags(plan: Plan, copies: Mapping[str, CopyOutcome]) -> list[ImagePusherError | None]:
    """Return for each item why its tags stay, None if they do not: those that belong together move together."""
    broken = [
        item.error is not None or any(tag.error or _copy_error(item, tag, copies) for tag in item.tags)
        for item in plan.items
    ]
    errors = [
        Withheld(
            f"Something else of this {plan.atomic} failed (source {item.source}), and its tags move together or"
            " not at all."
        )
        if is_broken
        else None
        for item, is_broken in zip(plan.items, broken, strict=True)
    ]
    match plan.atomic:
        case "item":
            return list(errors)
        case "push":
            return [next(filter(None, errors), None)] * len(errors)
        case None:
            return [None] * len(errors)


def build_report(
    plan: Plan, tags: Mapping[str, contract.TagReport], parts: Sequence[contract.Totals], seconds: float
) -> contract.PushReport:
    """Return the report of a push whose tags have all been dealt with."""
    items = [
        contract.ItemReport(
            source=item.source,
            kind=item.kind,
            digest=item.digest,
            error=_item_fault(item, [tags[tag.reference] for tag in item.tags]),
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


def _copy_error(item: PlannedItem, tag: PlannedTag, copies: Mapping[str, CopyOutcome]) -> ImagePusherError | None:
    """Return the error of the first copy that this tag needs and that did not reach its repository.

    A manifest or blob that the source has lost fails every tag of the item (BEHAVIOUR 2.3).
    """
    if tag.action == "unchanged":
        return None
    repository = f"{tag.registry}/{tag.repository}"
    for digest in item.needs:
        outcome = copies.get(digest)
        if outcome is None:
            return CopyIncomplete(f"The copy of {digest} did not report an outcome.")
        lost = (error for error in outcome.errors.values() if isinstance(error, SourceChildMissing))
        error = outcome.errors.get(repository) or next(lost, None)
        if error is not None:
            return error
    return None


def unmoved(tag: PlannedTag, error: ImagePusherError, action: contract.Action = "failed") -> contract.TagReport:
    """Return the report of a tag that stayed as it was."""
    return contract.TagReport(
        reference=tag.reference,
        action=action,
        old_digest=tag.old_digest,
        new_digest=tag.old_digest,
        error=contract.Fault.of(error),
    )


def _item_fault(item: PlannedItem, tags: Sequence[contract.TagReport]) -> contract.Fault | None:
    """Return the fault of an item: its own, or the one for which every tag of it failed."""
    if item.error is not None:
        return contract.Fault.of(item.error)
    faults = {tag.error.code: tag.error for tag in tags if tag.error is not None and tag.action == "failed"}
    if len(faults) != 1 or not all(tag.action == "failed" for tag in tags):
        return None
    return next(iter(faults.values()))
