"""The steps of the move of one tag, under its lock (BEHAVIOUR 3.5, 4.8, 4.9, 5.5, 7.2, 7.6).

A move is staged: the tag is read, its new manifest is decided on, and the parts are looked for. Then the tag is
flipped: the intent is noted, the tag is written and read again. `single_tag.py` and `forward.py` order the steps.
"""

import logging
from typing import Final

import msgspec

from tasks.errors import CopyIncomplete, ImagePusherError, PartBusy
from tasks.oci import media_types
from tasks.oci.reference import Reference
from tasks.registry.repository import Repository
from tasks.transfer.plan.plan import PlannedTag
from tasks.transfer.plan.selected_referrers import NOTHING
from tasks.transfer.ports import NO_TAG, TagIntent, TagLock, TagLocks
from tasks.transfer.publish.held_digest import HeldDigest
from tasks.transfer.publish.intent_log import IntentLog
from tasks.transfer.publish.moved import Moved, skipped
from tasks.transfer.publish.own_work import OwnWork
from tasks.transfer.publish.own_writes import OwnWrites
from tasks.transfer.publish.protective import ProtectiveTags
from tasks.transfer.publish.stage import Stage, Staged, Wish
from tasks.transfer.publish.writes import Writes

LOG: Final = logging.getLogger(__name__)
_MENDS: Final = 5


class TagMove:
    """The move of one tag; `log` has the intents of the push at the tag, `work` is its work there.

    Used once, by one thread.
    """

    def __init__(self, wish: Wish, repository: Repository, tag: PlannedTag, log: IntentLog) -> None:
        self.log = log
        self._stage = Stage(wish, repository, tag.reference)
        self._writes = Writes(repository, self._stage, wish.seen)
        self._protective = ProtectiveTags(repository, tag.reference, log, keep_replaced=wish.keep_replaced)
        self._repository = repository
        self._planned = tag
        self._reference = tag.reference
        self._tag = tag.reference.identifier
        self._held = HeldDigest(repository, tag.reference.identifier)
        self.work = OwnWork(tag, log, self._protective, OwnWrites(self._held, self._stage))
        self._bring = wish.bring
        self._brought = NOTHING
        self._earlier: TagIntent | None = None

    @property
    def was_absent(self) -> bool:
        """Whether the tag was absent when the push was planned, and this push has noted no intent since."""
        return self._planned.action == "copied" and self._planned.old_digest is None and self.work.memory.latest is None

    @property
    def reference(self) -> Reference:
        """The full name of the tag."""
        return self._reference

    @property
    def repository(self) -> Repository:
        """The destination repository."""
        return self._repository

    def prepare(self) -> None:
        """Look for all manifests that the tag needs from the source; copy missing ones again, once (BEHAVIOUR 5.5)."""
        self._stage.ensure_needs()

    def stage(self, lock: TagLock, *, absent: bool = False) -> Staged:
        """Read the tag, unless it is taken to be absent, and decide on its new manifest.

        Raises the reason against a change (BEHAVIOUR 10.2, 10.3).
        """
        staged = self._stage.read(lock, absent=absent)
        self.work.tell_whose(staged)
        before = staged.base.digest if staged.base is not None else None
        mine = self.work.memory.own(before)
        if mine is not None:
            before = mine.old_digest
        return self._stage.admitted(staged, before)

    def bring(self, staged: Staged, locks: TagLocks) -> None:
        """Make the referrers of the image findable at the destination, before the tag moves (BEHAVIOUR 9.2)."""
        if staged.skip is None:
            self._brought = self._bring(self._reference, self._repository, staged.decision.digest, locks)

    def announce(self, lock: TagLock, staged: Staged) -> TagIntent | None:
        """Note the intent and write the protective tag, before the write of the tag.

        Returns None if someone else wrote the tag meanwhile, and its registry collected parts of what it held before.
        """
        decision, memory = staged.decision, self.work.memory
        self._earlier = self.work.moved_before(staged) if staged.restores else None
        if decision.action == "merged":
            # A push that has ended must not keep a protective tag from being deleted.
            lock.ensure()
        intent, is_protected = self._protective.planned(memory.intent(decision, staged.base), memory)
        intent = memory.with_lists(intent, self._brought.made)
        kept = self._protective.name_for_replaced(staged.base, memory)
        if kept is not None and staged.base is not None:
            # An undo deletes it with the other tags that this push made: once the tag is restored, nobody needs it.
            intent = msgspec.structs.replace(intent, overtaken=intent.overtaken | {kept: staged.base.digest})
        # A delivery that lost its lock must not replace the intent of the delivery that holds the lock.
        lock.ensure()
        intent = msgspec.structs.replace(intent, by=self.work.writer.delivery)
        if not self.work.begun:
            # After the report of a push none of its tags moves. But its own late write is mended (BEHAVIOUR 7.6).
            self._ensure_open()
        self.work.note(lock, staged, intent)
        try:
            if intent.protective_tag is not None and not is_protected:
                self._writes.store(intent.protective_tag, decision)
            if kept is not None and staged.base is not None:
                self._writes.store(kept, staged.base)
        except CopyIncomplete:
            if self._held.now(staged.over) == staged.over:
                raise
            return None
        return intent

    def _ensure_open(self) -> None:
        """Raise PartBusy if the push has ended; protective tags that this delivery wrote late are deleted then."""
        try:
            self.log.ensure_open()
        except PartBusy:
            self._protective.delete_late()
            raise

    def flip(self, lock: TagLock, staged: Staged, intent: TagIntent) -> Moved | None:
        """Write the tag and look at it again; return None if someone else wrote it meanwhile (BEHAVIOUR 7.2)."""
        if not self.begin(lock, staged) or not self._writes.write(self._tag, staged.decision, staged.over):
            return None
        return self.end(lock, staged, intent, is_stored=True)

    def begin(self, lock: TagLock, staged: Staged) -> bool:
        """Look at the tag right before it is written; return False if someone else wrote it meanwhile."""
        over = staged.over
        # A digest has only one content, which the copy may have stored already.
        if self._reference.digest is None and self._held.now(over) != over:
            return False
        self.work.begin(lock, staged.decision.digest)
        return True

    def end(self, lock: TagLock, staged: Staged, intent: TagIntent, *, is_stored: bool = False) -> Moved | None:
        """Look at the tag after it was written; return None if it does not hold the manifest.

        If the registry said that it stored the tag (`is_stored`), a moment is given for the write to show.
        """
        decision = staged.decision
        wrote, over = decision.digest, staged.over
        found = self._held.after(wrote, over) if is_stored else self._held.now(wrote)
        if found != wrote:
            return None
        self.work.settle(lock, staged)
        if staged.restores:
            intent = self._earlier or self.work.memory.nothing(decision)
        return Moved(intent, decision.held, int(decision.media_type in media_types.INDEXES), self._brought)

    def store(self, staged: Staged) -> None:
        """Store the manifest under its digest, so that the registry has it before any tag moves (BEHAVIOUR 10.1)."""
        self._writes.store(staged.decision.digest, staged.decision)

    def leave(self, lock: TagLock, staged: Staged) -> Moved:
        """Leave a tag as it was found, or as this push wrote it without noting the write."""
        if self.work.memory.pending is not None:
            self.work.give_way(lock, staged)
        if staged.skip is not None:
            self._note_contested(lock, staged)
            return skipped(staged, staged.skip)
        left = self.work.left(staged)
        if left.changes:
            self.work.settle(lock, staged)
            return Moved(left, staged.decision.held, brought=self._brought)
        self._note_contested(lock, staged)
        moved = self.work.moved_before(staged)
        if moved is not None:
            return Moved(moved, self._stage.wanted(moved.new_digest), brought=self._brought)
        return Moved(left, staged.decision.held, brought=self._brought)

    def _note_contested(self, lock: TagLock, staged: Staged) -> None:
        """Note what others wrote if a late write of ours may replace it: it is mended from the note (BEHAVIOUR 7.6)."""
        if staged.is_contested:
            lock.note_seen(staged.seen, staged.record.last)

    def stood(self, lock: TagLock, locks: TagLocks) -> Moved:
        """Return how a tag of a release that stands was moved; leave it alone, whatever it holds by now.

        Only a late write of this delivery, which replaced another one, is mended (BEHAVIOUR 7.6). Raises PushUndone,
        LockLost, StateUnavailable.
        """
        self.log.ensure_wanted()
        intent = self.work.memory.latest or TagIntent(
            action="unchanged", old_digest=self._planned.old_digest, new_digest=self._planned.old_digest or NO_TAG
        )
        try:
            for _ in range(_MENDS):
                staged = self.stage(lock)
                self.bring(staged, locks)
                if staged.is_right:
                    return self.leave(lock, staged)
                if not (self.work.begun and staged.mends):
                    break
                mending = self.announce(lock, staged)
                if mending is not None and self.flip(lock, staged, mending) is not None:
                    break
        except ImagePusherError as error:
            if error.ends_locked_work:
                raise
            LOG.warning("%s cannot be looked at again: %s", self._reference, error)
        return Moved(intent, self._stage.wanted(intent.new_digest), brought=self._brought)
