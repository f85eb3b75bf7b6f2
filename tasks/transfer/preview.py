"""Say what a push would do, without doing it."""

from tasks import contract
from tasks.errors import ImagePusherError
from tasks.oci.descriptor import Descriptor
from tasks.oci.document import parse_document
from tasks.oci.graph import successors
from tasks.registry.repository import Registries, Repository
from tasks.transfer.plan import Copy, Plan


def preview(plan: Plan, registries: Registries) -> contract.Preview:
    """Return the actions of the tags and what each copy would move; asks for pull scope only."""
    placed: dict[tuple[str, str], str] = {}
    return contract.Preview(
        items=[
            contract.ItemReport(
                source=item.source,
                kind=item.kind,
                digest=item.digest,
                error=item.error,
                tags=[
                    contract.TagReport(
                        reference=tag.reference,
                        action=tag.action,
                        old_digest=tag.old_digest,
                        new_digest=tag.new_digest,
                        kept_platforms=tag.kept_platforms,
                        error=tag.error,
                    )
                    for tag in item.tags
                ],
            )
            for item in plan.items
        ],
        copies=[_copy(copy, registries, placed) for copy in plan.copies],
        warnings=plan.warnings,
    )


def _copy(copy: Copy, registries: Registries, placed: dict[tuple[str, str], str]) -> contract.CopyPreview:
    """Look at one copy; `placed` says which repository of a registry will hold a blob by then."""
    source = registries.repository(*copy.source, "source")
    try:
        blobs = _blobs(source, copy.digest, depth=0)
        repositories = [
            _repository(registries.repository(registry, name, "destination"), copy.digest, blobs, source, placed)
            for registry, name in copy.destinations
        ]
    except ImagePusherError as error:
        fault = contract.Fault(error.code, str(error))
        repositories = [
            contract.RepositoryPreview(repository="/".join(name), error=fault) for name in copy.destinations
        ]
    return contract.CopyPreview(
        digest=copy.digest, source="/".join(copy.source), platform=copy.platform, repositories=repositories
    )


def _blobs(source: Repository, digest: str, depth: int) -> dict[str, Descriptor]:
    fetched = source.fetch_manifest(digest)
    needs = successors(parse_document(fetched.content, fetched.media_type))
    blobs: dict[str, Descriptor] = {blob.digest: blob for blob in needs.blobs}
    for child in needs.manifests if depth < 8 else ():  # noqa: PLR2004 - deeper ones are refused when they are copied
        blobs |= _blobs(source, child.digest, depth + 1)
    return blobs


def _repository(
    destination: Repository,
    digest: str,
    blobs: dict[str, Descriptor],
    source: Repository,
    placed: dict[tuple[str, str], str],
) -> contract.RepositoryPreview:
    name = f"{destination.registry}/{destination.name}"
    try:
        if destination.resolve(digest) is not None:
            return contract.RepositoryPreview(repository=name, present=True, blobs_skipped=len(blobs))
        absent = [blob for blob in blobs.values() if destination.blob_size(blob.digest) is None]
    except ImagePusherError as error:
        return contract.RepositoryPreview(repository=name, error=contract.Fault(error.code, str(error)))
    mountable = [
        blob
        for blob in absent
        if source.registry == destination.registry
        or placed.setdefault((destination.registry, blob.digest), destination.name) != destination.name
    ]
    copied = [blob for blob in absent if blob not in mountable]
    return contract.RepositoryPreview(
        repository=name,
        blobs_skipped=len(blobs) - len(absent),
        blobs_mounted=len(mountable),
        blobs_copied=len(copied),
        bytes_copied=sum(blob.size for blob in copied),
    )
