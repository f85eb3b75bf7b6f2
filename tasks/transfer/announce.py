"""What is told of a tag that moved, to whoever signs or notifies."""

from tasks import contract
from tasks.oci.document import parse_document
from tasks.oci.index import Index
from tasks.registry.repository import Repository
from tasks.transfer.plan import PlannedItem, PlannedTag


def moved_tag(
    push_id: str, item: PlannedItem, planned: PlannedTag, tag: contract.TagReport, repository: Repository
) -> contract.TagMoved:
    """Return the event of one tag; reads at the destination what it holds now. Raises RegistryError, SourceError."""
    new_digest = tag.new_digest or ""
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
        new_digest=new_digest,
        platforms=_platforms(repository, new_digest, item),
    )


def _platforms(repository: Repository, digest: str, item: PlannedItem) -> dict[str, str]:
    """Return the digests by platform; of several entries for one platform the first, as clients choose."""
    fetched = repository.fetch_manifest(digest)
    document = parse_document(fetched.content, fetched.media_type)
    if not isinstance(document, Index):
        platform = item.platform.read() if item.platform else None
        return {} if platform is None else {str(platform): digest}
    listed = [(str(entry.platform), str(entry.digest)) for entry in document.entries if entry.platform is not None]
    return dict(reversed(listed))
