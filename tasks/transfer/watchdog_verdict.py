"""The watchdog's verdict on a quiet push. Pure (BEHAVIOUR 7.4, 7.5)."""

import enum
from dataclasses import dataclass
from typing import Final

from tasks.transfer.ports import OpenPush

_LONGEST_DOUBLING: Final = 3
_QUEUED_FACTOR: Final = 10


class Verdict(enum.Enum):
    """The watchdog's action on a push."""

    WAIT = "wait"
    SEND_AGAIN = "send again"
    DRIVE_ON = "drive on"
    GIVE_UP = "give up"
    STORE_RESULT = "store the result"
    DECLARE_LOST = "declare lost"


@dataclass(frozen=True)
class Patience:
    """The time in seconds for which a push may be quiet, and the number of futile drives before it is given up."""

    stall_seconds: float
    most_drives: int = 5

    def judge(self, push: OpenPush, now: float, *, queued: bool) -> Verdict:
        """Return the verdict at `now`, in seconds since the epoch.

        If tasks are `queued`, this push may just wait for its turn: it is sent again only after a much longer time. A
        task that is sent again but was not lost has no effect.
        """
        if not push.known:
            return Verdict.DECLARE_LOST
        if push.ended:
            return Verdict.STORE_RESULT
        allowed = self.stall_seconds * 2 ** min(push.drives, _LONGEST_DOUBLING) * (_QUEUED_FACTOR if queued else 1)
        if now - push.quiet_since < allowed:
            return Verdict.WAIT
        if push.drives >= self.most_drives:
            return Verdict.GIVE_UP
        return Verdict.DRIVE_ON if push.planned else Verdict.SEND_AGAIN

    def is_quiet(self, push: OpenPush, now: float) -> bool:
        """Tell whether a push has been quiet for longer than the shortest limit."""
        return now - push.quiet_since >= self.stall_seconds
