"""Errors of the state that workers share: the ledger, the locks of tags, the parts of pushes."""

from tasks.errors.base import ImagePusherError, Retry, Side
from tasks.errors.destination import DestinationError


class StateUnavailable(ImagePusherError):
    """The Redis of ledger and locks does not serve."""

    code = "state_unavailable"
    side = Side.STATE
    retry = Retry.GIVE_BACK
    advice = (
        "Check that it runs, that it can be reached from here, and that it is neither out of memory nor read-only."
        " Check address, user and password (`broker.url`, `broker.result_url`, `broker.state_url`)."
        " `imagepusher doctor` tells more."
    )


class StateFolderUnusable(ImagePusherError):
    """The ledger in the state folder cannot be read or written."""

    code = "state_folder_unusable"
    side = Side.STATE
    advice = (
        "Make room there, or let state_dir (IMAGEPUSHER_STATE_DIR) name a folder that you may write to. Then push"
        " again: what is done is not done again."
    )


class PartBusy(ImagePusherError):
    """Another delivery works on this part of the push."""

    code = "part_busy"
    side = Side.STATE
    retry = Retry.GIVE_BACK
    advice = "You need not do anything: the part goes on when the other delivery has ended."


class LockUnavailable(DestinationError):
    """Another push holds the tag."""

    code = "lock_unavailable"
    side = Side.STATE
    retry = Retry.LATER
    advice = "Another push holds this tag. Push again when that push has ended."


class LockLost(DestinationError):
    """This push lost the lock of the tag while it worked on the tag."""

    code = "lock_lost"
    side = Side.STATE
    retry = Retry.LATER
    advice = "The tag was not written. Push again."

    @property
    def ends_locked_work(self) -> bool:
        return True
