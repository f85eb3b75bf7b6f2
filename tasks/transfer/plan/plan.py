"""The plan of a push: its items with their tags, and its copies."""

import msgspec

from tasks import contract
from tasks.errors import ImagePusherError
from tasks.oci.details import Details
from tasks.oci.digest import Digest
from tasks.oci.platform import Platform
from tasks.oci.reference import Reference, RepositoryName
from tasks.oci.version import UNKNOWN_AGE, Age
from tasks.transfer.plan.referrers import PlannedReferrer
from tasks.transfer.request.target import TARGET
from tasks.transfer.request.valid import ValidItem


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
    jobs: int = TARGET.jobs
    tries: int | None = None
    exact_os_version: bool = False
    drop_missing_children: bool = False
    keep_replaced: bool = False
    warnings: list[str] = []
