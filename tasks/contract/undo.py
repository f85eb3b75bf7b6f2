"""The answer to `undo`."""

from typing import Literal

import msgspec

from tasks.contract.fault import Fault
from tasks.contract.report import State


class TagUndo(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an undo for one tag; `moved` means that someone else had moved the tag, which was left alone.

    A `skipped` tag of a release stays as the push made it, since another tag of the release cannot be put back.
    """

    reference: str
    action: Literal["restored", "deleted", "moved", "failed", "skipped"]
    digest: str | None = None
    error: Fault | None = None


class Undo(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an undo."""

    push_id: str
    state: State
    tags: list[TagUndo]
