"""Errors and warnings in reports and answers."""

from typing import Literal

import msgspec

from tasks.errors import ImagePusherError

ErrorSide = Literal["source", "destination", "state", "settings", "worker"]


class Fault(msgspec.Struct, frozen=True):
    """An error: a stable code, its side, and a message that says what happened, where, and what to do."""

    code: str
    message: str
    side: ErrorSide | None = None

    @classmethod
    def of(cls, error: ImagePusherError) -> "Fault":
        """Return the form of an error in a report."""
        return cls(error.code, str(error), None if error.side is None else error.side.value)


class Notice(msgspec.Struct, frozen=True):
    """A warning that is part of a result: a stable code, and a message that says what happened and where."""

    code: str
    message: str
