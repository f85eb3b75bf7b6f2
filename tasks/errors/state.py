"""Errors of the state that workers share: the ledger, the locks of tags, the parts of pushes."""

from tasks.errors.base import ImagePusherError, Retry, Side
from tasks.errors.destination import DestinationError


class StateUnavailable(ImagePusherError):
    """The Redis that holds ledger and locks does not serve."""

    code = "state_unavailable"
    side = Side.STATE
    retry = Retry.GIVE_BACK
    advice = (
        "Look at the Redis of `broker.state_url` (of `broker.url`, where that is not set): are user and password right,"
        " is it reached, out of memory, or read-only? `imagepusher doctor` tells more."
    )


class PartBusy(ImagePusherError):
    """Another delivery works on this part of the push."""

    code = "part_busy"
    side = Side.STATE
    retry = Retry.GIVE_BACK
    advice = "Nothing is to be done: the part goes on when the other delivery has ended."


class LockUnavailable(DestinationError):
    """Another push holds the tag."""

    code = "lock_unavailable"
    side = Side.STATE
    retry = Retry.LATER
    advice = "Another push holds this tag; push again when it is done."


class LockLost(DestinationError):
    """This push lost the tag while it worked on it."""

    code = "lock_lost"
    side = Side.STATE
    retry = Retry.LATER
    advice = "The tag was not written; push again."

    @property
    def ends_locked_work(self) -> bool:
        return True
