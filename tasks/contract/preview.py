"""The answer to a dry run of a push."""

import msgspec

from tasks.contract.fault import Fault
from tasks.contract.report import ItemReport


class RepositoryPreview(msgspec.Struct, frozen=True, kw_only=True):
    """The effect of one copy in one repository; `present` says that the manifest is there with all its parts."""

    repository: str
    present: bool = False
    blobs_copied: int = 0
    blobs_mounted: int = 0
    blobs_skipped: int = 0
    bytes_copied: int = 0
    error: Fault | None = None


class CopyPreview(msgspec.Struct, frozen=True, kw_only=True):
    """The effect of one copy."""

    digest: str
    source: str
    platform: str | None = None
    repositories: list[RepositoryPreview] = []


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """The effect of a push: the actions of its tags, and its copies. It was found with pull scope only."""

    items: list[ItemReport]
    copies: list[CopyPreview]
    warnings: list[str] = []
