"""Make the plan of a push from the findings on its items. Pure."""

from collections.abc import Sequence

import msgspec

from tasks import contract
from tasks.errors import ImagePusherError, OlderThanDestination
from tasks.oci.platform import Platform
from tasks.transfer.plan.copies import copies_of, needed
from tasks.transfer.plan.findings import Findings
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.plan.plan import FailedItem, Plan, PlannedItem, PlannedTag, ResolvedItem
from tasks.transfer.plan.referrers import FoundReferrers
from tasks.transfer.request.valid import ValidItem, ValidRequest


def plan_push(request: ValidRequest, found: Findings, *, push_id: str, created: float) -> Plan:
    """Return the plan of a request; `created` is in seconds since the epoch."""
    eligible = map(request.eligible, request.items)
    of_items = zip(request.items, found.sources, found.tags, eligible, found.referrers, strict=True)
    items = [_planned_item(*of_item) for of_item in of_items]
    items = _without_doomed(items, request.atomic)
    resolved = [item for item in items if isinstance(item, ResolvedItem)]
    return Plan(
        push_id=push_id,
        created=created,
        items=items,
        copies=copies_of(zip(found.images, resolved, strict=True), request.target.tries),
        atomic=request.atomic,
        jobs=request.target.jobs,
        tries=request.target.tries,
        exact_os_version=request.target.exact_os_version,
        drop_missing_children=request.target.missing_children == "drop",
        keep_replaced=request.target.keep_replaced,
        warnings=list(request.warnings),
    )


def _planned_item(
    wanted: ValidItem,
    found: SourceImage | ImagePusherError,
    tags: Sequence[PlannedTag],
    eligible: tuple[Platform, ...],
    referring: FoundReferrers,
) -> PlannedItem:
    if isinstance(found, ImagePusherError):
        return FailedItem(wanted=wanted, error=found, tags=tuple(tags))
    return ResolvedItem(
        wanted=wanted,
        kind=found.kind,
        digest=found.original_digest,
        media_type=found.media_type,
        eligible=eligible,
        platform=found.platform,
        needs=tuple(descriptor.digest for descriptor in needed(found)),
        tags=tuple(tags),
        details=dict(found.details),
        referrers=referring.referrers,
        referrers_error=referring.error,
        subset=found.digest != found.original_digest,
        age=found.age,
    )


def _without_doomed(items: Sequence[PlannedItem], atomic: contract.Atomic | None) -> list[PlannedItem]:
    """Return the items; those of a release that cannot stand need nothing, so that no byte of theirs is copied."""
    doomed = [atomic is not None and _is_doomed(item) for item in items]
    if atomic == "push":
        doomed = [any(doomed)] * len(items)
    return [
        msgspec.structs.replace(item, needs=(), referrers=()) if lost and isinstance(item, ResolvedItem) else item
        for item, lost in zip(items, doomed, strict=True)
    ]


def _is_doomed(item: PlannedItem) -> bool:
    if isinstance(item, FailedItem):
        return True
    return any(not isinstance(tag.error, OlderThanDestination | None) for tag in item.tags)
