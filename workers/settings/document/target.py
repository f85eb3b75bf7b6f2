"""The table of a target."""

from typing import Literal

import msgspec

from tasks.contract import ForwardOnly, PlatformRemoval
from tasks.oci.signatures import IndexSignature
from tasks.transfer.request.target import TARGET, Create, MissingChildren, Naming, Visibility
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
    missing_children: MissingChildren = TARGET.missing_children
    exact_os_version: bool = TARGET.exact_os_version
    jobs: Count = TARGET.jobs
    tries: Count | None = None
    merge: bool = TARGET.merge
    referrers: Literal["all", "none"] | list[Text] | None = None
    referrers_required: bool = TARGET.referrers_required
    verify_keys: list[Text] = []
    verify_identities: list[IdentityTable] = []
    verify_index: IndexSignature = "own"
    immutable: list[Text] = []
    platform_removal: PlatformRemoval = TARGET.platform_removal
    forward_only: ForwardOnly | None = None
    version_pattern: Text | None = None
    keep_replaced: bool = TARGET.keep_replaced
    create: Create = TARGET.create
    visibility: Visibility = TARGET.visibility
