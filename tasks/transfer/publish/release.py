"""Move the tags of a release: all of them, or none (BEHAVIOUR 10.1).

All tags are locked at once, in the order of their names, so that two releases never wait for each other. Each tag is
staged: its new manifest is at the destination, and its old state can be restored. Then the tags are flipped, one after
the other. If a flip fails, the moved tags are put back; if the reason may pass, the whole release is tried again later.
A journal holds the direction of the release before each step: a later delivery goes on in that direction.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from typing import Final

from tasks import contract
from tasks.errors import DestinationError, ImagePusherError, LockLost, LockUnavailable, RolledBack
from tasks.transfer.ports import MayRetry, TagIntent, TagLock, TagLocks
from tasks.transfer.publish.ended import Ended
from tasks.transfer.publish.forward import Forward
from tasks.transfer.publish.held_locks import HeldLocks
from tasks.transfer.publish.journal import Direction, Journal, has_begun
from tasks.transfer.publish.release_member import Member, Stopped
from tasks.transfer.publish.report import unmoved
from tasks.transfer.publish.rolled_back import failed_tags, report_of
from tasks.transfer.publish.unsettled_tags import unsettled, waiting

LOG: Final = logging.getLogger(__name__)
_LOCKS: Final = 4


PutBack = Callable[[Mapping[str, TagIntent], TagLocks], contract.Undo]


class Release:
    """The joint move of several tags.

    `put_back` restores the tags of intents. Used once.
    """

    def __init__(
        self, members: Sequence[Member], locks: TagLocks, journal: Journal, put_back: PutBack, executor: Executor
    ) -> None:
        self._members = members
        self._locks = locks
        self._journal = journal
        self._put_back = put_back
        self._executor = executor
        self._flipped: set[str] = set()

    def run(self, may_retry: MayRetry, abandoned: ImagePusherError | None = None) -> Ended:
        """Move all tags, or none; raises an error if the release is to be given back, or tried again.

        `abandoned` is the reason for which no more tags are moved: those that moved are put back, unless all of them
        did.

        If a lock was lost, another delivery may have ended the release: nothing is put back before all locks are taken
        again and the journal is read again.
        """
        for _ in range(_LOCKS):
            try:
                return self._run(may_retry, abandoned)
            except LockLost as error:
                LOG.warning("The release is begun again: %s", error)
                unlocked: ImagePusherError = error
            except LockUnavailable as error:
                unlocked = error
                break
        return self._unlocked(unlocked, may_retry)

    def _unlocked(self, error: ImagePusherError, may_retry: MayRetry) -> Ended:
        """Return the reports of tags whose locks cannot be held; raises the error of another try, if one may follow.

        A release that has begun is waited for as one that cannot be put back yet: half of it may stand.
        """
        if may_retry(error):
            raise error
        if has_begun(self._journal.read()) or not self._is_never(error):
            later = waiting(f"The release cannot be ended yet: {error.message}")
            if may_retry(later):
                raise later
            error.message += " Whether the tags of the release were moved cannot be told."
        return Ended(reports={member.key: unmoved(member.tag, error) for member in self._members})

    def _is_never(self, error: ImagePusherError) -> bool:
        """Note that the release ends before it began; return False if another delivery has begun with it since."""
        try:
            self._journal.note("never", error.message)
        except LockLost:
            return False
        return True

    def _run(self, may_retry: MayRetry, abandoned: ImagePusherError | None) -> Ended:
        with ExitStack() as stack:
            references = sorted({member.reference for member in self._members})
            held = {reference: stack.enter_context(self._locks.hold(reference)) for reference in references}
            direction = self._journal.read()
            for member in self._members:
                # Before the release begins, it has written no tag: one that holds its image got it from another push.
                member.move.work.recall(has_written=has_begun(direction) or member.follows)
            if has_begun(direction):
                # Only the tags themselves show which of them an earlier delivery moved.
                self._flipped.update(member.key for member in self._members if member.intent is not None)
            if abandoned is not None and direction != "stands":
                return self._back(held, abandoned, self._members, may_retry)
            # The report names the tag that was refused, also if the worker that met the refusal is gone.
            earlier = RolledBack(self._journal.why() or "An earlier delivery of the push began to roll it back.")
            if direction in {"back", "never"}:
                return self._back(held, earlier, (), may_retry)
            if direction == "return":
                if failed_tags(self._put_all_back(held, earlier, direction, may_retry)):
                    return self._back(held, earlier, (), may_retry)
                self._let_begin_again(held)
            try:
                return Ended(moved=self._forward(held).run())
            except Stopped as stopped:
                error, culprit = stopped.error, stopped.member
            if error.ends_locked_work:
                raise error
            if not has_begun(self._journal.again()) and may_retry(error):
                raise error
            LOG.warning("The release does not stand: %s", error)
            return self._back(held, error, (culprit,), may_retry)

    def _forward(self, held: Mapping[str, TagLock]) -> Forward:
        return Forward(self._members, held, self._locks, self._journal, self._executor, self._flipped)

    def _back(
        self, held: Mapping[str, TagLock], error: ImagePusherError, culprits: Sequence[Member], may_retry: MayRetry
    ) -> Ended:
        """Put the moved tags back, and return the reports of all tags.

        Raises LockLost, ReleaseUnsettled, and the error if the release is tried again.
        """
        begun = has_begun(self._journal.again())
        passes = error.passes and may_retry(error)
        undone = self._put_all_back(held, error, "return" if passes else "back", may_retry)
        if passes and not failed_tags(undone):
            self._let_begin_again(held)
            raise error
        # Before a tag moved, whatever happened to it since an earlier try is none of this release's work.
        if not begun:
            # A delivery that stands still must not begin with a release that has been reported.
            self._journal.note("never", error.message)
        found = {tag.reference: tag for tag in undone.tags}
        told = found if begun else {}
        reports = {
            member.key: report_of(
                member,
                told.get(member.reference),
                error,
                is_culprit=member in culprits,
                was_flipped=member.key in self._flipped,
                protective_tag=member.move.work.protection_left(),
            )
            for member in self._members
        }
        restored = [
            member
            for member in self._members
            if (tag := found.get(member.reference)) is not None and tag.action != "failed"
        ]
        return Ended(reports=reports, restored=restored)

    def _put_all_back(
        self, held: Mapping[str, TagLock], error: ImagePusherError, direction: Direction, may_retry: MayRetry
    ) -> contract.Undo:
        """Put the moved tags back; raises LockLost, and ReleaseUnsettled if that is tried again.

        Before the release begins, only what was made beside the tags is deleted.
        """
        for lock in held.values():
            lock.ensure()
        for member in self._members:
            member.move.work.recall()
        begun = has_begun(self._journal.again())
        noted = {
            member.reference: (self._change(member, held) if begun else None) or member.move.work.memory.forgotten()
            for member in self._members
            if begun or not member.follows
        }
        intents = {reference: intent for reference, intent in noted.items() if intent is not None}
        if begun:
            self._journal.note(direction, error.message)
            for member in self._members:
                if (change := intents.get(member.reference)) is not None:
                    member.move.work.put_back_to(change.old_digest)
        undone = self._put_back(intents, HeldLocks(held, self._locks))
        stuck = failed_tags(undone)
        if stuck:
            for lock in held.values():
                lock.ensure()
            later = unsettled(stuck, error.retry_after)
            if may_retry(later):
                raise later
        return undone

    def _change(self, member: Member, held: Mapping[str, TagLock]) -> TagIntent | None:
        """Return the change to take back: the last one, or that of a late write after the tag had been put back."""
        try:
            return member.move.work.written_late(held[member.reference]) or member.intent
        except DestinationError as error:
            LOG.warning("%s: whether a late write replaced anything cannot be told: %s", member.reference, error)
            return member.intent

    def _let_begin_again(self, held: Mapping[str, TagLock]) -> None:
        """Note that nothing of the release is left, so that the next delivery begins with it anew; raises LockLost."""
        for lock in held.values():
            lock.ensure()
        for member in self._members:
            member.move.work.forget()
        self._flipped.clear()
        self._journal.note("again")
