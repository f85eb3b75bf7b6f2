"""Move a tag that belongs to no release (BEHAVIOUR 3.5, 7.1, 7.2).

The tag is staged and flipped under its lock. If someone else wrote it meanwhile, it is staged anew.
"""

import logging
from typing import Final

from tasks.errors import ImagePusherError, LockLost, Side, TagConflict
from tasks.transfer.ports import TagLock, TagLocks
from tasks.transfer.publish.moved import Moved
from tasks.transfer.publish.tag import TagMove

LOG: Final = logging.getLogger(__name__)
_ROUNDS: Final = 5
_LOCKS: Final = 4


def move_single_tag(move: TagMove, locks: TagLocks) -> Moved:
    """Move the tag; raises ImagePusherError.

    If the lock is lost before or during the write, it is taken again, and the tag is read again under it.
    """
    try:
        return _move_under_lock(move, locks)
    except ImagePusherError as error:
        if error.passes:
            LOG.warning("%s: %s", move.reference, error)
            if move.work.may_have_written:
                error.message += " Whether the tag was written cannot be told."
        error.on(Side.DESTINATION)
        raise


def _move_under_lock(move: TagMove, locks: TagLocks) -> Moved:
    for _ in range(_LOCKS):
        try:
            with locks.hold(str(move.reference)) as lock:
                return _move_in_rounds(move, lock, locks)
        except LockLost as error:
            LOG.warning("%s: %s", move.reference, error.message)
            lost = error
    raise lost


def _move_in_rounds(move: TagMove, lock: TagLock, locks: TagLocks) -> Moved:
    # To build on half of a release would keep that half for good (BEHAVIOUR 10.1).
    move.log.ensure_settled()
    move.work.recall()
    move.prepare()
    for number in range(_ROUNDS):
        # A tag that was absent when the push was planned is taken to be absent: the look before the write checks.
        staged = move.stage(lock, absent=number == 0 and move.was_absent)
        move.bring(staged, locks)
        if staged.is_right:
            return move.leave(lock, staged)
        intent = move.announce(lock, staged)
        moved = None if intent is None else move.flip(lock, staged, intent)
        if moved is not None:
            return moved
    raise TagConflict(f"{move.reference} was written by someone else {_ROUNDS} times while it was being moved.")
