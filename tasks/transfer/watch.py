"""What becomes of a push that was not heard of for a while. Pure (BEHAVIOUR 7.4, 7.5)."""

import enum
from dataclasses import dataclass
from typing import Final

from tasks.transfer.ports import OpenPush

_LONGEST_DOUBLING: Final = 3
_QUEUED_FACTOR: Final = 10


class Verdict(enum.Enum):
    """What the watchdog does with a push."""

    WAIT = "wait"
    SEND_AGAIN = "send again"
    DRIVE_ON = "drive on"
    GIVE_UP = "give up"
    STORE_RESULT = "store the result"
    DECLARE_LOST = "declare lost"


@dataclass(frozen=True)
class Patience:
    """How long a push may be quiet, in seconds, and how often it is driven on in vain before it is given up."""

    stall_seconds: float
    most_drives: int = 5

    def judge(self, push: OpenPush, now: float, *, queued: bool) -> Verdict:
        """Return what to do at `now`, seconds since the epoch.

        Tasks that are `queued` may be those of this push: it may just wait its turn, and is sent again only after a
        much longer time. Everything that is sent again is without effect where it was not lost.
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
        """Tell whether nothing was heard of a push for longer than the least that is allowed."""
        return now - push.quiet_since >= self.stall_seconds
