"""What becomes of a push that was not heard of for a while."""

from typing import Any

import pytest

from tasks.transfer.ports import OpenPush
from tasks.transfer.watchdog_verdict import Patience, Verdict

PATIENCE = Patience(stall_seconds=10, most_drives=3)


def push(**known: Any) -> OpenPush:
    """Return a push that was heard of last at second 100, and planned."""
    fields: dict[str, Any] = {
        "known": True,
        "planned": True,
        "ended": False,
        "quiet_since": 100.0,
        "done": 0,
        "drives": 0,
    }
    return OpenPush(push_id="p", task_id="p", **(fields | known))


@pytest.mark.parametrize(
    ("found", "now", "queued", "verdict"),
    [
        (push(), 109.9, False, Verdict.WAIT),
        (push(), 110, False, Verdict.DRIVE_ON),
        (push(planned=False), 110, False, Verdict.SEND_AGAIN),
        # What waits in a queue may be its own.
        (push(), 199.9, True, Verdict.WAIT),
        (push(), 200, True, Verdict.DRIVE_ON),
        (push(planned=False), 200, True, Verdict.SEND_AGAIN),
        # Each drive without progress doubles the patience.
        (push(drives=1), 119.9, False, Verdict.WAIT),
        (push(drives=1), 120, False, Verdict.DRIVE_ON),
        (push(drives=2), 139.9, False, Verdict.WAIT),
        (push(drives=2), 140, False, Verdict.DRIVE_ON),
        (push(drives=3), 179.9, False, Verdict.WAIT),
        (push(drives=3), 180, False, Verdict.GIVE_UP),
        (push(drives=3, planned=False), 180, False, Verdict.GIVE_UP),
        (push(ended=True), 100, False, Verdict.STORE_RESULT),
        (push(ended=True, drives=9), 10_000, True, Verdict.STORE_RESULT),
        (push(known=False, planned=False, quiet_since=0.0), 100, False, Verdict.DECLARE_LOST),
    ],
)
def test_a_push_is_judged_by_how_long_it_was_quiet(found: OpenPush, now: float, queued: bool, verdict: Verdict) -> None:
    """Rules 7.4 and 7.5."""
    assert PATIENCE.judge(found, now, queued=queued) is verdict


def test_patience_does_not_double_for_ever() -> None:
    """Rule 7.5: no push hangs for good."""
    patience = Patience(stall_seconds=10, most_drives=100)
    assert patience.judge(push(drives=50), 180, queued=False) is Verdict.DRIVE_ON


def test_a_push_that_is_due_later_is_not_quiet_before() -> None:
    assert not PATIENCE.is_quiet(push(quiet_since=500.0), 300)
    assert PATIENCE.is_quiet(push(), 110)
