"""Make the plan of a push from the findings on its items. Pure."""

from collections.abc import Sequence

import msgspec

from tasks import contract
from tasks.errors import ImagePusherError, OlderThanDestination
from tasks.oci.platform import Platform
from tasks.transfer.plan.copies import copies_of, needed
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.plan.plan import FailedItem, Plan, PlannedItem, PlannedTag, ResolvedItem
from tasks.transfer.plan.referrers import FoundReferrers
from tasks.transfer.request.valid import ValidItem, ValidRequest


def plan_push(
    request: ValidRequest,
    sources: Sequence[SourceImage | ImagePusherError],
    tags: Sequence[Sequence[PlannedTag]],
    *,
    push_id: str,
    created: float,
    referrers: Sequence[FoundReferrers] = (),
) -> Plan:
    """Return the plan of `request` from the findings on each item's source, tags and referrers."""
    along = referrers or [FoundReferrers()] * len(sources)
    items = [
        _planned_item(wanted, found, tuple(planned), request.target.platforms, referring)
        for wanted, found, planned, referring in zip(request.items, sources, tags, along, strict=True)
    ]
    items = _without_doomed(items, request.atomic)
    images = [found for found in sources if isinstance(found, SourceImage)]
    resolved = [item for item in items if isinstance(item, ResolvedItem)]
    return Plan(
        push_id=push_id,
        created=created,
        items=items,
        copies=copies_of(zip(images, resolved, strict=True), request.target.tries),
        atomic=request.atomic,
        jobs=request.target.jobs,
        tries=request.target.tries,
        exact_os_version=request.target.exact_os_version,
        drop_missing_children=request.target.missing_children == "drop",
        keep_replaced=request.target.keep_replaced,
        warnings=list(request.warnings),
    )


def eligible(item: ValidItem, of_target: tuple[Platform, ...]) -> tuple[Platform, ...]:
    """Return the platforms that may be taken from the source, () for all: the item's setting before the target's."""
    return item.platforms or of_target if item.kind == "auto" else ()


def _planned_item(
    wanted: ValidItem,
    found: SourceImage | ImagePusherError,
    tags: tuple[PlannedTag, ...],
    of_target: tuple[Platform, ...],
    referring: FoundReferrers,
) -> PlannedItem:
    if isinstance(found, ImagePusherError):
        return FailedItem(wanted=wanted, error=found, tags=tags)
    return ResolvedItem(
        wanted=wanted,
        kind=found.kind,
        digest=found.original_digest,
        media_type=found.media_type,
        eligible=eligible(wanted, of_target),
        platform=found.platform,
        needs=tuple(descriptor.digest for descriptor in needed(found)),
        tags=tags,
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
