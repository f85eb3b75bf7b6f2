"""The progress of a push."""

from typing import Final, Literal

import msgspec

from tasks.contract.fault import Fault

ProgressState = Literal[
    "enqueued",
    "accepted",
    "copying",
    "publishing",
    "waiting",
    "succeeded",
    "partial",
    "failed",
    "interrupted",
    "refused",
]
# The states that a push leaves only when it is sent again.
ENDED: Final = frozenset({"succeeded", "partial", "failed", "refused"})


class CopyProgress(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of one copy: `done` of `total` bytes of blobs are at the destination, moved or found there.

    `source` and `platform` name the image, if the ledger knows them.
    """

    digest: str
    done: int = 0
    total: int = 0
    ended: bool = False
    failed: bool = False
    source: str | None = None
    platform: str | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A wait of one part of a push, for a registry or for Redis; seconds since the epoch."""

    reason: Fault
    since: float
    until: float


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a push; seconds since the epoch.

    `interrupted`: a push without a broker whose process has ended. `refused`: a push whose request broke a rule.
    """

    push_id: str
    state: ProgressState
    waiting: Waiting | None = None
    created: float
    updated: float
    copies: list[CopyProgress] = []
    tags: int = 0
    tags_done: int = 0
