"""The plan of a push: which digests go to which repositories, and which tags wait for them. Pure."""

from collections.abc import Iterable, Sequence

import msgspec

from tasks import contract
from tasks.errors import ImagePusherError, OlderThanDestination
from tasks.oci.descriptor import Descriptor
from tasks.oci.details import Details
from tasks.oci.digest import Digest
from tasks.oci.graph import successors
from tasks.oci.index import Index
from tasks.oci.platform import Platform
from tasks.oci.reference import Reference, RepositoryName
from tasks.oci.version import UNKNOWN_AGE, Age
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.plan.referrers import FoundReferrers, PlannedReferrer
from tasks.transfer.request.target import Target
from tasks.transfer.request.valid import ValidItem, ValidRequest


class PlannedTag(msgspec.Struct, frozen=True, kw_only=True):
    """One destination tag: its manifest when the push was planned, and the action planned for it.

    A digest may stand for the tag.
    """

    reference: Reference
    action: contract.Action
    old_digest: Digest | None = None
    new_digest: Digest | None = None
    kept_platforms: list[str] = []
    warnings: list[contract.Notice] = []
    error: ImagePusherError | None = None

    def as_planned(self) -> contract.TagReport:
        """Return the report of the tag as if its plan came true."""
        return contract.TagReport(
            reference=str(self.reference),
            action=self.action,
            old_digest=self.old_digest,
            new_digest=self.new_digest,
            kept_platforms=self.kept_platforms,
            warnings=self.warnings,
            error=None if self.error is None else contract.Fault.of(self.error),
        )


class ResolvedItem(msgspec.Struct, frozen=True, kw_only=True, tag="resolved"):
    """One item whose source was read.

    `digest`, `media_type` and `platform` are those of the source. `needs` lists the digests that must be copied before
    a tag of the item may move. `eligible` are the platforms that are taken from the source, () for all. `details` are
    those behind the entries of its index, by digest. `referrers` go along with the item; `referrers_error` tells that
    the source may have more of them. `subset` says that only some platforms of its index are taken.
    """

    wanted: ValidItem
    kind: contract.Kind
    digest: Digest
    media_type: str
    eligible: tuple[Platform, ...]
    platform: Platform | None
    needs: tuple[Digest, ...]
    tags: tuple[PlannedTag, ...]
    details: dict[Digest, Details] = {}
    referrers: tuple[PlannedReferrer, ...] = ()
    referrers_error: ImagePusherError | None = None
    subset: bool = False
    age: Age = UNKNOWN_AGE

    def report(self, tags: list[contract.TagReport]) -> contract.ItemReport:
        """Return the report of the item with these tags."""
        return contract.ItemReport(source=str(self.wanted.source), kind=self.kind, digest=self.digest, tags=tags)


class FailedItem(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """One item whose source cannot be pushed: none of its tags changes."""

    wanted: ValidItem
    error: ImagePusherError
    tags: tuple[PlannedTag, ...]

    def report(self, tags: list[contract.TagReport]) -> contract.ItemReport:
        """Return the report of the item with these tags."""
        return contract.ItemReport(source=str(self.wanted.source), error=contract.Fault.of(self.error), tags=tags)


PlannedItem = ResolvedItem | FailedItem


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """One digest that goes from one repository into others.

    `spare_sources` are the repositories where further items found the digest: the first source may lack it.
    """

    digest: Digest
    media_type: str
    size: int
    source: RepositoryName
    destinations: list[RepositoryName]
    platform: str | None = None
    tries: int | None = None
    spare_sources: list[RepositoryName] = []


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The plan that all tasks of a push work from; `tries` bounds the deliveries of each task."""

    push_id: str
    created: float
    items: list[PlannedItem]
    copies: list[Copy]
    atomic: contract.Atomic | None = None
    jobs: int = Target.jobs
    tries: int | None = None
    exact_os_version: bool = False
    drop_missing_children: bool = False
    keep_replaced: bool = False
    warnings: list[str] = []


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
        copies=_copies(zip(images, resolved, strict=True), request.target.tries),
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


def needed(image: SourceImage) -> tuple[Descriptor, ...]:
    """Return the manifests that copies must bring: the entries of an index, or the image itself."""
    if isinstance(image.document, Index):
        return successors(image.document).manifests
    return (image.descriptor,)


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


def arrived(item: ResolvedItem, digest: str | None) -> frozenset[str]:
    """Return the source manifests present at a tag that holds `digest`; referrers of others are left behind (9.4)."""
    return frozenset({*item.needs, digest or ""})


def _copies(pairs: Iterable[tuple[SourceImage, ResolvedItem]], tries: int | None) -> list[Copy]:
    """Return one copy for each digest, into every repository that wants it: first images, then their referrers.

    A repository wants an image only for a tag that would change, but its referrers for unchanged tags too.
    """
    wishes = _Wishes()
    pairs = list(pairs)
    for image, item in pairs:
        tags = [tag for tag in item.tags if tag.error is None]
        changing = [tag.reference.place for tag in tags if tag.action != "unchanged"]
        for descriptor in needed(image) if item.needs else ():
            wishes.add(descriptor, image.reference.place, changing)
    for image, item in pairs:
        tags = [tag for tag in item.tags if tag.error is None]
        for each in item.referrers:
            places = [tag.reference.place for tag in tags if each.root in arrived(item, tag.new_digest)]
            said = each.referrer
            wishes.add(Descriptor(said.media_type, said.digest, said.size), image.reference.place, places)
    return wishes.copies(tries)


class _Wishes:
    """The digests that repositories want, and the repositories that have them, in the order of arrival."""

    def __init__(self) -> None:
        self._found: dict[Digest, Descriptor] = {}
        self._sources: dict[Digest, dict[RepositoryName, None]] = {}
        self._wanted: dict[Digest, dict[RepositoryName, None]] = {}

    def add(self, descriptor: Descriptor, source: RepositoryName, destinations: Iterable[RepositoryName]) -> None:
        """Note that `destinations` want a digest of `source`, which may be a spare source if they are none."""
        destinations = list(destinations)
        if destinations:
            # An item that wants nothing may declare a wrong size: that must not count for those that want the digest.
            self._found.setdefault(descriptor.digest, descriptor)
        self._sources.setdefault(descriptor.digest, {})[source] = None
        self._wanted.setdefault(descriptor.digest, {}).update(dict.fromkeys(destinations))

    def copies(self, tries: int | None) -> list[Copy]:
        """Return a copy for each digest that is wanted somewhere."""
        return [
            Copy(
                digest=digest,
                media_type=descriptor.media_type,
                size=descriptor.size,
                source=next(iter(self._sources[digest])),
                destinations=list(self._wanted[digest]),
                platform=str(descriptor.platform) if descriptor.platform else None,
                tries=tries,
                spare_sources=list(self._sources[digest])[1:],
            )
            for digest, descriptor in self._found.items()
        ]
