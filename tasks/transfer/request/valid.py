"""A checked request in parsed types (BEHAVIOUR section 1)."""

import msgspec

from tasks import contract
from tasks.oci.platform import Platform
from tasks.oci.reference import Reference
from tasks.oci.signatures import SignaturePolicy
from tasks.transfer.request.conditions import UNCONDITIONAL, Conditions
from tasks.transfer.request.target import Referrers, Target


class ValidItem(msgspec.Struct, frozen=True):
    """One valid item: every destination is a full reference with a tag or a digest, and occurs once."""

    source: Reference
    destinations: tuple[Reference, ...]
    kind: contract.RequestedKind = "auto"
    single_arch: contract.SingleArch = "merge"
    platforms: tuple[Platform, ...] = ()
    merge: bool = True
    referrers: Referrers = None
    referrers_required: bool = False
    verify: tuple[SignaturePolicy, ...] = ()
    conditions: Conditions = UNCONDITIONAL
    irreversible: contract.Irreversible = "refuse"

    @property
    def overwrites(self) -> bool:
        """Tell whether the item may replace the image that another item has just put at a tag (BEHAVIOUR 1.5)."""
        return not self.merge or self.kind != "auto" or self.single_arch == "copy"


class ValidRequest(msgspec.Struct, frozen=True):
    """A valid request."""

    items: tuple[ValidItem, ...]
    target: Target
    atomic: contract.Atomic | None = None
    push_id: str | None = None
    warnings: tuple[str, ...] = ()

    def eligible(self, item: ValidItem) -> tuple[Platform, ...]:
        """Return the platforms that an item takes from its source, () for all: its own before those of the target."""
        return item.platforms or self.target.platforms if item.kind == "auto" else ()
