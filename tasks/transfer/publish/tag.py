"""The steps of the move of one tag, under its lock (BEHAVIOUR 3.5, 4.8, 4.9, 5.5, 7.2, 7.6).

A move is staged: the tag is read, its new manifest is decided on, and the parts are looked for. Then the tag is
flipped: the intent is noted, the tag is written and read again. `single_tag.py` and `forward.py` order the steps.
"""

import logging
import uuid
from typing import Final

import msgspec

from tasks.errors import CopyIncomplete, ImagePusherError, LockLost, LockUnavailable
from tasks.oci import media_types
from tasks.oci.digest import Digest
from tasks.oci.reference import Reference
from tasks.registry.repository import Repository
from tasks.transfer.plan.decide import Current, Decision
from tasks.transfer.plan.plan import PlannedTag
from tasks.transfer.plan.selected_referrers import NOTHING
from tasks.transfer.ports import NO_TAG, TagIntent, TagLock, TagLocks, Written
from tasks.transfer.publish.held_digest import HeldDigest
from tasks.transfer.publish.intent_log import IntentLog
from tasks.transfer.publish.intent_memory import Memory
from tasks.transfer.publish.moved import Moved, skipped
from tasks.transfer.publish.noted_intents import NotedIntents
from tasks.transfer.publish.own_writes import OwnWrites
from tasks.transfer.publish.protective import ProtectiveTags
from tasks.transfer.publish.stage import Stage, Staged, Wish
from tasks.transfer.publish.writes import Writes

LOG: Final = logging.getLogger(__name__)
_MENDS: Final = 5


class TagMove:
    """The move of one tag; used once, by one thread."""

    def __init__(self, wish: Wish, repository: Repository, tag: PlannedTag, log: IntentLog) -> None:
        self.intents = NotedIntents(log)
        self._stage = Stage(wish, repository, tag.reference)
        self._writes = Writes(repository, self._stage, wish.seen)
        self._protective = ProtectiveTags(repository, tag.reference, log, keep_replaced=wish.keep_replaced)
        self._repository = repository
        self._planned = tag
        # Two deliveries may note the same change: each knows whether it was the one that came to write it.
        self._delivery = uuid.uuid4().hex
        self._reference = tag.reference
        self._tag = tag.reference.identifier
        self._held = HeldDigest(repository, tag.reference.identifier)
        self._own = OwnWrites(self._held, self._stage)
        self._bring = wish.bring
        self._brought = NOTHING

    @property
    def memory(self) -> Memory:
        """The intents of the push at the tag, as this delivery remembers them."""
        return self.intents.memory

    @property
    def may_have_written(self) -> bool:
        """Whether this run of the push, perhaps by another delivery, may have written the tag."""
        return self._own.begun or self.memory.may_have_written

    @property
    def was_absent(self) -> bool:
        """Whether the tag was absent when the push was planned, and this push has noted no intent since."""
        return self._planned.action == "copied" and self._planned.old_digest is None and self.memory.latest is None

    @property
    def reference(self) -> Reference:
        """The full name of the tag."""
        return self._reference

    @property
    def repository(self) -> Repository:
        """The destination repository."""
        return self._repository

    def recall(self, *, has_written: bool | None = None) -> None:
        """Read the last noted intent into the memory; `has_written` tells, if known, whether the push came to write."""
        self.intents.recall(has_written=has_written)

    def forget(self) -> None:
        """Note that the tag was put back: its later manifests are the work of others."""
        self.intents.forget()

    def disown(self, found: Decision | None = None) -> None:
        """Forget the last intent if the push certainly did not begin to write the tag: others wrote what it holds."""
        if not self.memory.is_idle or (found is not None and self.memory.own(found.digest) is not None):
            return
        self._protective.give_up(self.memory.beside())
        self.intents.forget(found)

    def found(self, decision: Decision) -> None:
        """Note that a tag of a release is as wanted by the work of others, for the report of a later delivery."""
        self.disown(decision)
        if self.memory.latest is None and self._planned.old_digest != decision.digest:
            self.intents.note_unchanged(decision)

    def prepare(self) -> None:
        """Look for all manifests that the tag needs from the source; copy missing ones again, once (BEHAVIOUR 5.5)."""
        self._stage.ensure_needs()

    def stage(self, lock: TagLock, *, absent: bool = False) -> Staged:
        """Read the tag, unless it is taken to be absent, and decide on its new manifest.

        Raises the reason against a change (BEHAVIOUR 10.2, 10.3).
        """
        staged = self._stage.read(lock, absent=absent)
        before = staged.base.digest if staged.base is not None else None
        mine = self.memory.own(before)
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
        decision = staged.decision
        if decision.action == "merged":
            # A push that has ended must not keep a protective tag from being deleted.
            lock.ensure()
        intent, is_protected = self._protective.planned(self.memory.intent(decision, staged.base), self.memory)
        intent = self.memory.with_lists(intent, self._brought.made)
        kept = self._protective.name_for_replaced(staged.base, self.memory)
        if kept is not None and staged.base is not None:
            # An undo deletes it with the other tags that this push made: once the tag is restored, nobody needs it.
            intent = msgspec.structs.replace(intent, overtaken=intent.overtaken | {kept: staged.base.digest})
        # A delivery that lost its lock must not replace the intent of the delivery that holds the lock.
        lock.ensure()
        intent = msgspec.structs.replace(intent, by=self._delivery)
        if not self._own.begun:
            # After the report of a push none of its tags moves. But its own late write is mended (BEHAVIOUR 7.6).
            self.intents.log.ensure_open()
        self.intents.note(intent, staged.base)
        lock.note_writing(decision.digest, staged.last)
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
        lock.ensure()
        self._own.begin(staged.decision.digest)
        self.intents.begin_writing()
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
        self._settle(lock, decision)
        return Moved(intent, decision.held, int(decision.media_type in media_types.INDEXES), self._brought)

    def put_back_to(self, digest: Digest | None) -> None:
        """Remember that the tag is about to be put back, None to delete it: that may be a late write, too."""
        self._own.begin(digest)

    def written_late(self, lock: TagLock) -> TagIntent | None:
        """Return the change by which a late write of this delivery replaced the work of others, if one did."""
        return self._own.late_change(lock, self.memory)

    def store(self, staged: Staged) -> None:
        """Store the manifest under its digest, so that the registry has it before any tag moves (BEHAVIOUR 10.1)."""
        self._writes.store(staged.decision.digest, staged.decision)

    def clean(self, locks: TagLocks) -> str | None:
        """Delete the protective tags of a tag that this push did not move, and return the name of one that stays.

        Those that another push needs are not deleted: under the lock of the tag no push begins to need one. If the push
        certainly did not begin to write the tag, an undo leaves alone what others write there.
        """
        tags = self.memory.protective_tags()
        if self.memory.latest is None:
            return None
        try:
            with locks.hold(str(self._reference)):
                left = self._protective.delete(tags)
                self.disown()
        except (LockUnavailable, LockLost) as error:
            LOG.warning("%s: protective tags may stay: %s", self._reference, error)
            left = tags
        return next(iter(left), None)

    def protection_left(self) -> str | None:
        """Return the name of a protective tag of a tag that was put back, if one is still there."""
        return self._protective.first_left(self.memory.beside())

    def leave(self, lock: TagLock, staged: Staged) -> Moved:
        """Leave a tag as it was found, or as this push wrote it without noting the write."""
        if staged.skip is not None:
            if staged.is_contested and staged.held is not None:
                self._settle(lock, staged.held)
            return skipped(staged, staged.skip)
        left = self.memory.left(staged.decision)
        if left.changes or staged.is_contested:
            self._settle(lock, staged.decision)
        return Moved(left, staged.decision.held, brought=self._brought)

    def stood(self, lock: TagLock, locks: TagLocks) -> Moved:
        """Return how a tag of a release that stands was moved; leave it alone, whatever it holds by now.

        Only a late write of this delivery, which replaced another one, is mended (BEHAVIOUR 7.6). Raises PushUndone,
        LockLost, StateUnavailable.
        """
        self.intents.log.ensure_wanted()
        try:
            for _ in range(_MENDS):
                staged = self.stage(lock)
                self.bring(staged, locks)
                if staged.is_right:
                    return self.leave(lock, staged)
                if not self._own.begun or staged.base is staged.held:
                    break
                mending = self.announce(lock, staged)
                if mending is not None and self.flip(lock, staged, mending) is not None:
                    break
        except ImagePusherError as error:
            if error.ends_locked_work:
                raise
            LOG.warning("%s cannot be looked at again: %s", self._reference, error)
        intent = self.memory.latest or TagIntent(
            action="unchanged", old_digest=self._planned.old_digest, new_digest=self._planned.old_digest or NO_TAG
        )
        return Moved(intent, self._stage.wanted(intent.new_digest), brought=self._brought)

    def _settle(self, lock: TagLock, held: Decision | Current) -> None:
        """Note what the tag holds: a late write of ours that replaces it is mended from the note (BEHAVIOUR 7.6)."""
        lock.ensure()
        lock.note_written(Written(held.digest, held.media_type, held.content))
