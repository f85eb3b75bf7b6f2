"""The report of a push."""

from typing import Final, Literal

import msgspec

from tasks.contract.fault import Fault, Notice
from tasks.errors import OlderThanDestination

Kind = Literal["source", "multi-arch", "single-arch"]
Action = Literal["copied", "merged", "unchanged", "failed", "skipped", "rolled_back"]
# The actions that leave a tag as the push wanted it; for the others see `is_failure`.
DONE: Final[frozenset[Action]] = frozenset({"copied", "merged", "unchanged"})
State = Literal["succeeded", "partial", "failed"]
# The reason why a referrer was not copied: the tag got another index than the source's (`merged`, `subset`), the
# destination refused the referrer (`refused`), or the source does not serve it (`unreadable`).
LeftReason = Literal["merged", "subset", "refused", "unreadable"]


class ReferrerLeft(msgspec.Struct, frozen=True, kw_only=True):
    """One manifest that refers to the image and was not copied with it."""

    digest: str
    artifact_type: str = ""
    reason: LeftReason
    error: Fault | None = None


class TagReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result for one destination tag; a digest is None if there was, or is, no tag.

    `referrers` is the number of referrers of the image at the destination, by artifact type.
    """

    reference: str
    action: Action
    old_digest: str | None = None
    new_digest: str | None = None
    kept_platforms: list[str] = []
    protective_tag: str | None = None
    warnings: list[Notice] = []
    referrers: dict[str, int] = {}
    referrers_left: list[ReferrerLeft] = []
    error: Fault | None = None


class ItemReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result for one item."""

    source: str
    kind: Kind | None = None
    digest: str | None = None
    error: Fault | None = None
    tags: list[TagReport] = []


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over all repositories: bytes of blobs, numbers of blobs and of manifests, and wall time in seconds."""

    bytes_copied: int = 0
    blobs_copied: int = 0
    blobs_mounted: int = 0
    blobs_skipped: int = 0
    manifests_copied: int = 0
    seconds: float = 0.0


class PushReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a push.

    `warnings` are those about its request, and those in the answers of registries. `producer` signed the request; it is
    None for an operator, or if messages are not signed.
    """

    push_id: str
    state: State
    items: list[ItemReport]
    totals: Totals
    warnings: list[str] = []
    producer: str | None = None


def is_failure(tag: TagReport) -> bool:
    """Tell whether a tag makes its push fail; a tag that was skipped for holding a newer image does not."""
    return tag.action not in DONE and not is_harmless(tag.error)


def is_harmless(fault: Fault | None) -> bool:
    """Tell whether a fault only says why a tag was skipped as it should be (BEHAVIOUR 10.4)."""
    return fault is not None and fault.code == OlderThanDestination.code
