"""The event of a tag that moved, for consumers that sign or notify. Pure."""

from tasks import contract
from tasks.oci.details import with_details
from tasks.oci.document import parse_document
from tasks.oci.index import Index
from tasks.oci.platform import Platform
from tasks.transfer.plan.decide import Current
from tasks.transfer.plan.plan import PlannedTag, ResolvedItem


def moved_tag(
    push_id: str, item: ResolvedItem, planned: PlannedTag, tag: contract.TagReport, held: Current
) -> contract.TagMoved:
    """Return the event of one tag, which now holds `held`."""
    return contract.TagMoved(
        push_id=push_id,
        reference=tag.reference,
        repository=str(planned.reference.place),
        tag=planned.reference.identifier,
        action="merged" if tag.action == "merged" else "copied",
        source=str(item.wanted.source),
        source_digest=item.digest,
        kind=item.kind,
        old_digest=tag.old_digest,
        new_digest=held.digest,
        platforms=_platforms(held, item.platform),
        unsigned=[] if held.digest == item.digest else [held.digest],
    )


def _platforms(held: Current, single: Platform | None) -> dict[str, str]:
    """Return the digests by platform; the first of several entries for one platform counts, as for clients.

    Nothing is known of an index that someone else has replaced before a repeat of its push looked at it.
    """
    if not held.content:
        return {}
    document = with_details(parse_document(held.content, held.media_type), held.details)
    if not isinstance(document, Index):
        return {} if single is None else {str(single): held.digest}
    platforms: dict[str, str] = {}
    for entry in document.entries:
        if entry.platform is not None:
            platforms.setdefault(str(entry.platform), entry.digest)
    return platforms
