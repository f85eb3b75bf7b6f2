"""Tags of a release that could not be put back: whether to try again, and their errors (10.1)."""

from collections.abc import Sequence
from typing import Final

import msgspec

from tasks import contract
from tasks.errors import QuotaExceeded, ReleaseUnsettled, Retry, may_pass

_PAUSE: Final = 30.0
# Until somebody raises the quota, or makes room, a full namespace does not even take a tag back.
_ENDED_BY_PEOPLE: Final = frozenset({QuotaExceeded.code})


def unsettled(stuck: Sequence[contract.TagUndo], asked: float | None) -> ReleaseUnsettled:
    """Return the error for tags that could not be put back; `asked` are the seconds that a registry asked for.

    The release may have used up its tries before. A reason that may pass is waited for, so that half of the release
    does not stay for want of tries.
    """
    passing = next((tag for tag in stuck if tag.error is not None and _may_end(tag.error.code)), None)
    first = passing or stuck[0]
    why = f": {first.error.message}" if first.error is not None else "."
    message = f"{first.reference} could not be put back yet{why}"
    return ReleaseUnsettled(message) if passing is None else waiting(message, asked)


def _may_end(code: str) -> bool:
    return may_pass(code) or code in _ENDED_BY_PEOPLE


def waiting(message: str, asked: float | None = None) -> ReleaseUnsettled:
    """Return the error for a release that waits, for as long as a registry under maintenance is waited for."""
    error = ReleaseUnsettled(message, max(_PAUSE, asked or 0.0))
    error.retry = Retry.WAIT
    return error


def untold(undone: contract.TagUndo) -> contract.Fault | None:
    """Return why a tag was not put back, and if it is not known what the tag holds, say so."""
    if undone.action == "moved" or undone.error is None:
        return undone.error
    message = f"{undone.error.message} Whether the tag was put back cannot be told."
    return msgspec.structs.replace(undone.error, message=message)
