"""The plan of a push: which digests go to which repositories, and which tags wait for them. Pure."""

from collections.abc import Iterable, Sequence

import msgspec

from tasks import contract
from tasks.errors import ImagePusherError
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest
from tasks.oci.graph import successors
from tasks.oci.index import Index
from tasks.oci.platform import Platform, PlatformDocument
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.request.target import Target
from tasks.transfer.request.valid import ValidItem, ValidRequest


class PlannedTag(msgspec.Struct, frozen=True, kw_only=True):
    """One destination tag: what it held when the push was planned, and what the push meant to do to it then.

    A digest may stand for the tag.
    """

    reference: str
    registry: str
    repository: str
    tag: str
    action: contract.Action
    old_digest: str | None = None
    new_digest: str | None = None
    kept_platforms: list[str] = []
    error: ImagePusherError | None = None

    @property
    def is_digest(self) -> bool:
        """Whether the manifest is stored under its digest alone: no tag is moved, and none taken back."""
        return ":" in self.tag


class PlannedItem(msgspec.Struct, frozen=True, kw_only=True):
    """One item, its source resolved: `needs` lists the digests that must be copied before a tag of it may move."""

    source: str
    requested_kind: contract.RequestedKind
    single_arch: contract.SingleArch
    merge: bool
    platforms: list[str]
    kind: contract.Kind | None = None
    digest: str | None = None
    media_type: str = ""
    platform: PlatformDocument | None = None
    error: ImagePusherError | None = None
    needs: list[str] = []
    tags: list[PlannedTag] = []


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """One digest that goes from one repository into others (`registry`, `name` pairs).

    `spare_sources` are those where further items found it: what the first one lacks may be there.
    """

    digest: str
    media_type: str
    size: int
    source: tuple[str, str]
    destinations: list[tuple[str, str]]
    platform: str | None = None
    tries: int | None = None
    spare_sources: list[tuple[str, str]] = []


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All that the tasks of a push must know."""

    push_id: str
    created: float
    items: list[PlannedItem]
    copies: list[Copy]
    atomic: contract.Atomic | None = None
    jobs: int = Target.jobs
    exact_os_version: bool = False
    drop_missing_children: bool = False
    warnings: list[str] = []


def plan_push(
    request: ValidRequest,
    sources: Sequence[SourceImage | ImagePusherError],
    tags: Sequence[Sequence[PlannedTag]],
    *,
    push_id: str,
    created: float,
) -> Plan:
    """Return the plan of `request`, given what was found of each item's source and tags."""
    items = [
        _planned_item(item, found, planned, request.target.platforms)
        for item, found, planned in zip(request.items, sources, tags, strict=True)
    ]
    images = [found if isinstance(found, SourceImage) else None for found in sources]
    return Plan(
        push_id=push_id,
        created=created,
        items=items,
        copies=_copies(zip(images, items, strict=True), request.target.tries),
        atomic=request.atomic,
        jobs=request.target.jobs,
        exact_os_version=request.target.exact_os_version,
        drop_missing_children=request.target.missing_children == "drop",
        warnings=list(request.warnings),
    )


def eligible(item: ValidItem, of_target: tuple[Platform, ...]) -> tuple[Platform, ...]:
    """Return the platforms that may be taken from the source, () for all: the item's word before the target's."""
    return item.platforms or of_target if item.kind == "auto" else ()


def needed(image: SourceImage) -> tuple[Descriptor, ...]:
    """Return the manifests that copies must bring: the entries of an index, or the image itself."""
    if isinstance(image.document, Index):
        return successors(image.document).manifests
    return (image.descriptor,)


def _planned_item(
    item: ValidItem,
    found: SourceImage | ImagePusherError,
    tags: Sequence[PlannedTag],
    of_target: tuple[Platform, ...],
) -> PlannedItem:
    planned = PlannedItem(
        source=str(item.source),
        requested_kind=item.kind,
        single_arch=item.single_arch,
        merge=item.merge,
        platforms=[str(platform) for platform in eligible(item, of_target)],
        tags=list(tags),
    )
    if isinstance(found, ImagePusherError):
        return msgspec.structs.replace(planned, error=found)
    return msgspec.structs.replace(
        planned,
        kind=found.kind,
        digest=found.original_digest,
        media_type=found.media_type,
        platform=PlatformDocument.of(found.platform) if found.platform else None,
        needs=[descriptor.digest for descriptor in needed(found)],
    )


def _copies(pairs: Iterable[tuple[SourceImage | None, PlannedItem]], tries: int | None) -> list[Copy]:
    """Return one copy for each digest, into every repository with a tag that would change, big ones first."""
    found: dict[Digest, Descriptor] = {}
    sources: dict[Digest, dict[tuple[str, str], None]] = {}
    wanted: dict[Digest, dict[tuple[str, str], None]] = {}
    for image, item in pairs:
        if image is None or item.error is not None:
            continue
        repositories = dict.fromkeys(
            (tag.registry, tag.repository) for tag in item.tags if tag.error is None and tag.action != "unchanged"
        )
        for descriptor in needed(image):
            found.setdefault(descriptor.digest, descriptor)
            source = (image.reference.registry, image.reference.repository)
            sources.setdefault(descriptor.digest, {})[source] = None
            wanted.setdefault(descriptor.digest, {}).update(repositories)
    return [
        Copy(
            digest=digest,
            media_type=descriptor.media_type,
            size=descriptor.size,
            source=next(iter(sources[digest])),
            destinations=list(wanted[digest]),
            platform=str(descriptor.platform) if descriptor.platform else None,
            tries=tries,
            spare_sources=list(sources[digest])[1:],
        )
        for digest, descriptor in found.items()
        if wanted[digest]
    ]
