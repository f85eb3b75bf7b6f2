"""The exit code of each kind of result. Pure."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from tasks.errors import (
    AuthenticationRefused,
    ImagePusherError,
    PushFailed,
    PushUnfinished,
    PushUnknown,
    RequestInvalid,
    RightMissing,
    SettingsInvalid,
)

if TYPE_CHECKING:
    from tasks import contract

SUCCEEDED: Final = 0
PARTIAL: Final = 1
INVALID: Final = 2
FAILED: Final = 3
REFUSED: Final = 4
INTERRUPTED: Final = 130

_OF_STATE: Final = {"succeeded": SUCCEEDED, "partial": PARTIAL, "failed": FAILED}
# The errors that have a code of their own, where nothing succeeded; all others have FAILED.
_OF_ERROR: Final = {kind.code: REFUSED for kind in (AuthenticationRefused, RightMissing)} | {
    SettingsInvalid.code: INVALID
}
# The errors of a command that found nothing to do. In a report they are failures like any other.
_NOTHING_DONE: Final = (RequestInvalid, PushUnknown, PushUnfinished)


def code_of_report(report: "contract.PushReport") -> int:
    """Return the code of an ended push; authentication and settings, as its only faults, have their own codes."""
    code = _OF_STATE[report.state]
    return _code_of_failure(fault.code for fault in _faults(report.items)) if code == FAILED else code


def code_of_preview(preview: "contract.Preview") -> int:
    """Return the expected code of the push, as far as its preview can tell."""
    from tasks.contract import is_harmless

    failed = [
        (tag.error is not None and not is_harmless(tag.error)) or item.error is not None
        for item in preview.items
        for tag in item.tags
    ]
    faults = _faults(preview.items)
    copies = [repository.error for copy in preview.copies for repository in copy.repositories if repository.error]
    if not faults and not copies:
        return SUCCEEDED
    if not faults or not all(failed):
        return PARTIAL
    return _code_of_failure(fault.code for fault in (*faults, *copies))


def code_of_verification(verification: "contract.Verification") -> int:
    """Return the code of a comparison."""
    return SUCCEEDED if verification.state == "verified" else PARTIAL


def code_of_receipts(receipts: "contract.Receipts") -> int:
    """Return the code of the verification of receipts."""
    return SUCCEEDED if receipts.state == "verified" else PARTIAL


def code_of_undo(undo: "contract.Undo") -> int:
    """Return the code of an undo."""
    return _OF_STATE[undo.state]


def code_of_error(error: ImagePusherError, *, pushing: bool = False) -> int:
    """Return the code of an error that left a command without a result.

    With `pushing`, an unknown push was lost while it was running: it may have written something.
    """
    if pushing and isinstance(error, PushUnknown):
        return FAILED
    if isinstance(error, _NOTHING_DONE):
        return INVALID
    if isinstance(error, PushFailed) and error.report.get("state") == "partial":
        return PARTIAL
    return _code_of_failure([error.code])


def _faults(items: "Iterable[contract.ItemReport]") -> "list[contract.Fault]":
    from tasks.contract import is_harmless

    faults = (fault for item in items for fault in (item.error, *(tag.error for tag in item.tags)) if fault is not None)
    return [fault for fault in faults if not is_harmless(fault)]


def _code_of_failure(errors: Iterable[str]) -> int:
    """Return the code where nothing succeeded: that of the errors, given by their codes, if all of them share it."""
    codes = {_OF_ERROR.get(error, FAILED) for error in errors}
    return codes.pop() if len(codes) == 1 else FAILED
