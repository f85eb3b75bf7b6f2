"""The answer to `receipt`."""

from typing import Any, Literal

import msgspec

from tasks.contract.fault import Fault


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of one tag that moved; `error` is set if the receipt is missing or invalid.

    `bundle` is the signed bundle, `statement` its content. `digest` is that of the manifest that links the bundle to
    the image; `attached` tells whether the destination accepted that manifest.
    """

    reference: str
    digest: str | None = None
    attached: bool = False
    statement: dict[str, Any] | None = None
    bundle: dict[str, Any] | None = None
    error: Fault | None = None


class Receipts(msgspec.Struct, frozen=True, kw_only=True):
    """The receipts of a push, and whether each moved tag has a receipt that is signed by one of the given keys."""

    push_id: str
    state: Literal["verified", "broken"]
    receipts: list[Receipt]
