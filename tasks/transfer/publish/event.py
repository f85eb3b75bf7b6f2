"""What is told of a tag that moved, to whoever signs or notifies. Pure."""

from tasks import contract
from tasks.oci.document import parse_document
from tasks.oci.index import Index
from tasks.transfer.plan.decide import Current
from tasks.transfer.plan.plan import PlannedItem, PlannedTag


def moved_tag(
    push_id: str, item: PlannedItem, planned: PlannedTag, tag: contract.TagReport, held: Current
) -> contract.TagMoved:
    """Return the event of one tag, which now holds `held`."""
    return contract.TagMoved(
        push_id=push_id,
        reference=tag.reference,
        repository=f"{planned.registry}/{planned.repository}",
        tag=planned.tag,
        action="merged" if tag.action == "merged" else "copied",
        source=item.source,
        source_digest=item.digest or "",
        kind=item.kind or "multi-arch",
        old_digest=tag.old_digest,
        new_digest=held.digest,
        platforms=_platforms(held, item),
    )


def _platforms(held: Current, item: PlannedItem) -> dict[str, str]:
    """Return the digests by platform; of several entries for one platform the first, as clients choose."""
    document = parse_document(held.content, held.media_type)
    if not isinstance(document, Index):
        platform = item.platform.read() if item.platform else None
        return {} if platform is None else {str(platform): held.digest}
    platforms: dict[str, str] = {}
    for entry in document.entries:
        if entry.platform is not None:
            platforms.setdefault(str(entry.platform), entry.digest)
    return platforms
