"""Say what a push would do, without doing it."""

from collections import defaultdict

from tasks import contract
from tasks.errors import ImagePusherError, Side
from tasks.oci.descriptor import Descriptor
from tasks.oci.document import parse_document
from tasks.oci.graph import successors
from tasks.registry.repository import Registries, Repository
from tasks.transfer.plan.plan import Copy, Plan

# The repositories of a registry that hold a blob.
_Holders = defaultdict[tuple[str, str], set[str]]


def preview(plan: Plan, registries: Registries) -> contract.Preview:
    """Return the actions of the tags and what each copy would move; asks for pull scope only."""
    holders: _Holders = defaultdict(set)
    return contract.Preview(
        items=[
            contract.ItemReport(
                source=item.source,
                kind=item.kind,
                digest=item.digest,
                error=contract.Fault.of(item.error) if item.error else None,
                tags=[
                    contract.TagReport(
                        reference=tag.reference,
                        action=tag.action,
                        old_digest=tag.old_digest,
                        new_digest=tag.new_digest,
                        kept_platforms=tag.kept_platforms,
                        error=contract.Fault.of(tag.error) if tag.error else None,
                    )
                    for tag in item.tags
                ],
            )
            for item in plan.items
        ],
        copies=[_copy(copy, registries, holders) for copy in plan.copies],
        warnings=plan.warnings,
    )


def _copy(copy: Copy, registries: Registries, holders: _Holders) -> contract.CopyPreview:
    """Look at one copy; `holders` says which repositories of a registry will hold a blob by then."""
    source = registries.repository(*copy.source, "source")
    try:
        blobs = _blobs(source, copy.digest, depth=0)
        repositories = [
            _repository(registries.repository(registry, name, "destination"), copy.digest, blobs, source, holders)
            for registry, name in copy.destinations
        ]
    except ImagePusherError as error:
        fault = contract.Fault.of(error.on(Side.DESTINATION))
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
    destination: Repository, digest: str, blobs: dict[str, Descriptor], source: Repository, holders: _Holders
) -> contract.RepositoryPreview:
    name = f"{destination.registry}/{destination.name}"
    try:
        present = destination.resolve(digest) is not None
        found = {blob.digest for blob in blobs.values() if present or destination.blob_size(blob.digest) is not None}
    except ImagePusherError as error:
        return contract.RepositoryPreview(repository=name, error=contract.Fault.of(error.on(Side.DESTINATION)))
    copied, mounted, skipped = [], 0, 0
    for blob in blobs.values():
        held_by = holders[destination.registry, blob.digest]
        if blob.digest in found or destination.name in held_by:
            skipped += 1
        elif held_by or source.registry == destination.registry:
            mounted += 1
        else:
            copied.append(blob)
        held_by.add(destination.name)
    return contract.RepositoryPreview(
        repository=name,
        present=present,
        blobs_skipped=skipped,
        blobs_mounted=mounted,
        blobs_copied=len(copied),
        bytes_copied=sum(blob.size for blob in copied),
    )
