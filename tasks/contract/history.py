"""The answer to `history`."""

from typing import Literal

import msgspec


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One move of a tag by a push; seconds since the epoch. `undone` is None unless the move was undone."""

    at: float
    push_id: str
    action: Literal["copied", "merged"]
    source: str
    source_digest: str | None
    old_digest: str | None
    new_digest: str
    undone: float | None = None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The moves of one tag by pushes, the newest first."""

    reference: str
    moves: list[Move]
