"""The table of a target."""

from typing import Literal

import msgspec

from tasks.contract import ForwardOnly, PlatformRemoval
from tasks.oci.signatures import IndexSignature
from tasks.transfer.request.target import Create, MissingChildren, Naming, Target, Visibility
from workers.settings.document.values import Count, Text


class IdentityTable(msgspec.Struct, frozen=True):
    """A signer without a key: the name in the certificate, and the issuer who vouched for it."""

    identity: Text
    issuer: Text


class TargetTable(msgspec.Struct, frozen=True):
    """A named destination: its host, its names and the rules for its tags."""

    host: str = ""
    namespace: str = ""
    naming: Naming | None = None
    platforms: list[str] = []
    missing_children: MissingChildren = Target.missing_children
    exact_os_version: bool = Target.exact_os_version
    jobs: Count = Target.jobs
    tries: Count | None = None
    merge: bool = Target.merge
    referrers: Literal["all", "none"] | list[Text] | None = None
    referrers_required: bool = Target.referrers_required
    verify_keys: list[Text] = []
    verify_identities: list[IdentityTable] = []
    verify_index: IndexSignature = "own"
    immutable: list[Text] = []
    platform_removal: PlatformRemoval = Target.platform_removal
    forward_only: ForwardOnly | None = None
    version_pattern: Text | None = None
    keep_replaced: bool = Target.keep_replaced
    create: Create = Target.create
    visibility: Visibility = Target.visibility
