"""The errors that keep tags from moving, and the report of a push. Pure (BEHAVIOUR section 6)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from tasks import contract
from tasks.errors import CopyIncomplete, ImagePusherError, OlderThanDestination, SourceChildMissing, Withheld
from tasks.transfer.copy.totals import total
from tasks.transfer.plan.plan import FailedItem, Plan, PlannedItem, PlannedTag, ResolvedItem
from tasks.transfer.ports import CopyOutcome, EarlierTag

# The report of each tag, by `tag_key`.
Reports = Mapping[str, contract.TagReport]


def tag_key(number: int, tag: PlannedTag) -> str:
    """Return the name of a tag among those of a push: several items may go to one tag (BEHAVIOUR 1.5)."""
    return f"{number} {tag.reference}"


def obstacle(item: PlannedItem, tag: PlannedTag, copies: Mapping[str, CopyOutcome]) -> ImagePusherError | None:
    """Return the error that keeps a tag from moving, None if it has none of its own."""
    if isinstance(item, FailedItem):
        return item.error
    return tag.error or _copy_error(item, tag, copies)


def withheld_items(plan: Plan, copies: Mapping[str, CopyOutcome]) -> list[ImagePusherError | None]:
    """Return for each item the error that withholds its faultless tags, None if they may move.

    The tags of an atomic item, or push, move together or not at all.
    """
    errors = [_withheld(item, plan.atomic, copies) for item in plan.items]
    match plan.atomic:
        case "item":
            return errors
        case "push":
            return [next(filter(None, errors), None)] * len(errors)
        case None:
            return [None] * len(errors)


def preview_obstacles(plan: Plan, preview: contract.Preview, copies: Mapping[str, CopyOutcome]) -> contract.Preview:
    """Return a preview that has the reason for each tag that would not move (BEHAVIOUR 6.4).

    Among them are the tags that are withheld because another one of their item or push would fail.
    """
    items = [
        msgspec.structs.replace(
            told,
            tags=[
                _would_stay(item, tag, copies, withheld) or as_planned
                for tag, as_planned in zip(item.tags, told.tags, strict=True)
            ],
        )
        for item, told, withheld in zip(plan.items, preview.items, withheld_items(plan, copies), strict=True)
    ]
    return msgspec.structs.replace(preview, items=items)


def _would_stay(
    item: PlannedItem, tag: PlannedTag, copies: Mapping[str, CopyOutcome], withheld: ImagePusherError | None
) -> contract.TagReport | None:
    error = obstacle(item, tag, copies)
    if error is not None:
        return unmoved(tag, error)
    if withheld is None or tag.action == "unchanged":
        return None
    return unmoved(tag, withheld, "skipped")


def right_already(tag: PlannedTag, earlier: EarlierTag | None) -> contract.TagReport:
    """Return the report of a tag that needs no write: it held the right digest when the push was planned.

    If an earlier run of this push moved the tag, and did not end, return that run's report (BEHAVIOUR 7.7).
    """
    if earlier is not None and not earlier.reported and earlier.tag.new_digest == tag.new_digest:
        return earlier.tag
    return contract.TagReport(
        reference=str(tag.reference),
        action="unchanged",
        old_digest=tag.old_digest,
        new_digest=tag.new_digest,
        kept_platforms=tag.kept_platforms,
        warnings=tag.warnings,
    )


def unmoved(
    tag: PlannedTag,
    error: ImagePusherError,
    action: contract.Action | None = None,
    protective_tag: str | None = None,
) -> contract.TagReport:
    """Return the report of a tag that did not move; `protective_tag` is the name of one that is left over.

    Without `action`, a tag that holds a newer image is `skipped`, and any other tag is `failed`.
    """
    action = action or ("skipped" if isinstance(error, OlderThanDestination) else "failed")
    return contract.TagReport(
        reference=str(tag.reference),
        action=action,
        old_digest=tag.old_digest,
        new_digest=tag.old_digest,
        protective_tag=protective_tag,
        error=contract.Fault.of(error),
    )


def build_report(
    plan: Plan, tags: Reports, parts: Iterable[contract.Totals], seconds: float, warnings: Sequence[str] = ()
) -> contract.PushReport:
    """Return the report of a push whose tags are all done."""
    items = [_item_report(number, item, tags) for number, item in enumerate(plan.items)]
    failed = [contract.is_failure(tag) for item in items for tag in item.tags]
    state: contract.State = "succeeded"
    if any(failed):
        state = "failed" if all(failed) else "partial"
    return contract.PushReport(
        push_id=plan.push_id,
        state=state,
        items=items,
        totals=total(list(parts), seconds),
        warnings=list(dict.fromkeys(warnings)),
    )


def summary(report: contract.PushReport) -> str:
    """Return one line that names the tags that failed, with the code of each."""
    tags = [tag for item in report.items for tag in item.tags]
    failed = [tag for tag in tags if contract.is_failure(tag)]
    named = "; ".join(f"{tag.reference}: {tag.error.code if tag.error else tag.action}" for tag in failed[:5])
    more = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""  # noqa: PLR2004 - as many as a line holds
    return f"Push {report.push_id}: {len(failed)} of {len(tags)} tags failed ({named}{more})."


def _withheld(
    item: PlannedItem, atomic: contract.Atomic | None, copies: Mapping[str, CopyOutcome]
) -> ImagePusherError | None:
    found = next(_failures(item, copies), None)
    if found is None:
        return None
    named, error = found
    return Withheld(f"{named} fails ({error.code}), and the tags of this {atomic} move together or not at all.")


def _failures(item: PlannedItem, copies: Mapping[str, CopyOutcome]) -> Iterator[tuple[str, ImagePusherError]]:
    """Yield the names of what fails of an item, its source or tags, each with its error."""
    if isinstance(item, FailedItem):
        yield str(item.wanted.source), item.error
        return
    for tag in item.tags:
        error = obstacle(item, tag, copies)
        if error is not None and not isinstance(error, OlderThanDestination):
            yield str(tag.reference), error


def _copy_error(item: ResolvedItem, tag: PlannedTag, copies: Mapping[str, CopyOutcome]) -> ImagePusherError | None:
    """Return the error of the first needed copy that did not reach the repository of a tag.

    A manifest or blob that is gone from the source fails every tag of the item (BEHAVIOUR 2.3).
    """
    if tag.action == "unchanged":
        return None
    for digest in item.needs:
        outcome = copies.get(digest)
        if outcome is None:
            return CopyIncomplete(f"The copy of {digest} did not report an outcome.")
        lost = (error for error in outcome.errors.values() if isinstance(error, SourceChildMissing))
        error = outcome.errors.get(str(tag.reference.place)) or next(lost, None)
        if error is not None:
            return error
    return None


def _item_report(number: int, item: PlannedItem, tags: Reports) -> contract.ItemReport:
    reports = [tags[tag_key(number, tag)] for tag in item.tags]
    report = item.report(reports)
    return report if isinstance(item, FailedItem) else msgspec.structs.replace(report, error=_shared_fault(reports))


def _shared_fault(tags: Sequence[contract.TagReport]) -> contract.Fault | None:
    """Return the fault of an item if all of its tags failed for the same reason."""
    faults = {tag.error.code: tag.error for tag in tags if tag.error is not None and tag.action == "failed"}
    if len(faults) != 1 or not all(tag.action == "failed" for tag in tags):
        return None
    return next(iter(faults.values()))
