"""The referrers that go along with a tag, and those that are left behind. Pure (BEHAVIOUR 9.2, 9.4)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from tasks import contract
from tasks.oci.digest import Digest
from tasks.transfer.plan.copies import arrived
from tasks.transfer.plan.plan import ResolvedItem
from tasks.transfer.plan.referrers import PlannedReferrer


class MadeList(msgspec.Struct, frozen=True):
    """A tag that a push made for a list of referrers: its digest, and the image manifest to which the list leads."""

    tag: str
    digest: Digest
    root: Digest


class Along(msgspec.Struct, frozen=True):
    """The referrers of one tag: `counts` by artifact type, those left behind, and the lists that were made."""

    counts: Mapping[str, int] = msgspec.field(default_factory=dict)
    left: tuple[contract.ReferrerLeft, ...] = ()
    warnings: tuple[contract.Notice, ...] = ()
    made: tuple[MadeList, ...] = ()

    def told(self, report: contract.TagReport) -> contract.TagReport:
        """Return the report of a tag with these referrers added."""
        return msgspec.structs.replace(
            report,
            referrers=dict(self.counts),
            referrers_left=list(self.left),
            warnings=[*report.warnings, *self.warnings],
        )


NOTHING: Final = Along()


def planned_along(item: ResolvedItem, digest: str | None) -> Along:
    """Return the referrers that will come along with a tag that will hold `digest`."""
    coming, left = parted(item, digest)
    return Along(counts(coming), left, unreadable(item))


def parted(item: ResolvedItem, digest: str | None) -> tuple[list[PlannedReferrer], tuple[contract.ReferrerLeft, ...]]:
    """Return the referrers that go along with a tag that holds `digest`, and those whose subject is not there (9.4)."""
    here = arrived(item, digest)
    coming = [each for each in item.referrers if each.root in here]
    reason: contract.LeftReason = "subset" if item.subset else "merged"
    kept = {each.digest for each in coming}
    left = {each.digest: each.left(reason) for each in item.referrers if each.digest not in kept}
    return coming, tuple(left.values())


def counts(referrers: Iterable[PlannedReferrer]) -> dict[str, int]:
    """Return the number of manifests of each artifact type."""
    types = {each.digest: each.referrer.artifact_type or each.referrer.media_type for each in referrers}
    return dict(sorted(Counter(types.values()).items()))


def unreadable(item: ResolvedItem) -> tuple[contract.Notice, ...]:
    """Return the warning that the source may have more referrers than were found."""
    error = item.referrers_error
    return () if error is None else (contract.Notice(error.code, str(error)),)
