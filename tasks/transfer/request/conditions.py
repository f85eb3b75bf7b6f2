"""The conditions that an item and its target put on each of their tags (BEHAVIOUR 10.2 to 10.4)."""

from typing import Final

import msgspec

from tasks import contract
from tasks.oci.digest import Digest
from tasks.oci.platform import Platform
from tasks.oci.reference import Reference


class Expectation(msgspec.Struct, frozen=True):
    """The digest that a tag is expected to hold before the push, None for an absent tag."""

    reference: Reference
    digest: Digest | None


class Conditions(msgspec.Struct, frozen=True):
    """The conditions of an item's tags.

    `immutable` are patterns of tags that never change once they exist. With `keeps_platforms` no tag loses a platform.
    `version_pattern` describes versions that are not semantic ones: its groups are compared in their order.
    """

    expect: tuple[Expectation, ...] = ()
    overwrite: contract.Overwrite = "always"
    immutable: tuple[str, ...] = ()
    require_platforms: tuple[Platform, ...] = ()
    keeps_platforms: bool = False
    forward_only: contract.ForwardOnly | None = None
    version_pattern: str | None = None

    @property
    def need_content(self) -> bool:
        """Whether the content of a tag's manifest must be known, not only its digest."""
        return self.overwrite == "same" or self.keeps_platforms or self.forward_only is not None

    @property
    def need_platform(self) -> bool:
        """Whether the platform of a single image must be known."""
        return bool(self.require_platforms) or self.keeps_platforms


UNCONDITIONAL: Final = Conditions()
