"""The preview of a push: the actions of its tags and the bytes of its copies, without any write."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tasks import contract
from tasks.errors import AuthenticationRefused, ImagePusherError, Side
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest
from tasks.registry.repository import Registries, Repository
from tasks.transfer.graph import Node, parse_node, walk
from tasks.transfer.plan.plan import Copy, Plan, PlannedItem, PlannedTag, ResolvedItem
from tasks.transfer.plan.selected_referrers import planned_along
from tasks.transfer.ports import CopyOutcome

# The repositories of a registry that hold a blob.
_Holders = defaultdict[tuple[str, str], set[str]]


@dataclass(frozen=True)
class CopyLook:
    """One expected copy: its entry in the preview, and the outcome that publishing would see."""

    told: contract.CopyPreview
    outcome: CopyOutcome


def preview(plan: Plan, looks: Sequence[CopyLook]) -> contract.Preview:
    """Return the planned actions of the tags, and the bytes that each copy would move."""
    return contract.Preview(
        items=[item.report([_tag(item, tag) for tag in item.tags]) for item in plan.items],
        copies=[look.told for look in looks],
        warnings=plan.warnings,
    )


def look_at_copies(plan: Plan, registries: Registries) -> list[CopyLook]:
    """Look at each copy of a plan, with pull scope only."""
    holders: _Holders = defaultdict(set)
    return [_copy(copy, registries, holders) for copy in plan.copies]


def _tag(item: PlannedItem, tag: PlannedTag) -> contract.TagReport:
    report = tag.as_planned()
    if tag.error is not None or not isinstance(item, ResolvedItem):
        return report
    return planned_along(item, tag.new_digest).told(report)


def _copy(copy: Copy, registries: Registries, holders: _Holders) -> CopyLook:
    """Look at one copy; `holders` names the repositories of a registry that will hold a blob by then."""
    source = registries.repository(*copy.source, "source")
    repositories: list[contract.RepositoryPreview] = []
    errors: dict[str, ImagePusherError] = {}
    blobs: dict[Digest, Descriptor] = {}
    try:
        blobs = _blobs(source, Descriptor(copy.media_type, copy.digest, copy.size))
    except ImagePusherError as error:
        errors = {str(place): error.on(Side.SOURCE) for place in copy.destinations}
    for place in copy.destinations:
        name = str(place)
        try:
            if name not in errors:
                destination = registries.repository(*place, "destination")
                repositories.append(_repository(destination, copy.digest, blobs, source, holders))
        except ImagePusherError as error:
            errors[name] = error.on(Side.DESTINATION)
        if name in errors:
            repositories.append(contract.RepositoryPreview(repository=name, error=contract.Fault.of(errors[name])))
    told = contract.CopyPreview(
        digest=copy.digest, source=str(copy.source), platform=copy.platform, repositories=repositories
    )
    return CopyLook(told, CopyOutcome(digest=copy.digest, errors=errors))


def _blobs(source: Repository, root: Descriptor) -> dict[Digest, Descriptor]:
    """Return all blobs of an image, nested ones included, each once."""

    def read(each: Descriptor) -> Node:
        return parse_node(each, source.fetch_manifest(each.digest))

    return {blob.digest: blob for node in walk(root, read) for blob in node.needs.blobs}


def _held(destination: Repository, digest: str, blobs: dict[Digest, Descriptor]) -> tuple[bool, set[Digest]]:
    """Tell whether a repository has an image, and which of its blobs it has.

    A repository that may be absent counts as empty; the report of its tags has a warning (BEHAVIOUR 3.4).
    """
    try:
        present = destination.resolve(digest) is not None
        return present, {blob.digest for blob in blobs.values() if present or destination.has_blob(blob)}
    except AuthenticationRefused as error:
        if not error.may_be_absent:
            raise
        return False, set()


def _repository(
    destination: Repository, digest: str, blobs: dict[Digest, Descriptor], source: Repository, holders: _Holders
) -> contract.RepositoryPreview:
    name = str(destination)
    present, found = _held(destination, digest, blobs)
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
        # A manifest may lack the size of a part: the copy asks the source for the size.
        bytes_copied=sum(max(blob.size, 0) for blob in copied),
    )
