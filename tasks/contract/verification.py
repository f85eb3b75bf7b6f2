"""The answer to `verify`."""

from typing import Literal

import msgspec

from tasks.contract.fault import Fault


class TagVerification(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison of one tag with its report; `missing` lists the digests that the tag needs and that are absent."""

    reference: str
    expected_digest: str
    found_digest: str | None = None
    missing: list[str] = []
    error: Fault | None = None


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison of the destinations with the report of a push."""

    push_id: str
    state: Literal["verified", "broken"]
    tags: list[TagVerification]
