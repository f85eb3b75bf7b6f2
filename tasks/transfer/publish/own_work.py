"""The work of a push at one tag: what it announced, what it wrote, and what it made beside it (BEHAVIOUR 6.6, 7.6).

By this a push tells its own work from that of others, who may write the same tag, even with the same image. Its notes
are in the record of the tag, which all pushes read, and in its own intents, which the ledger keeps.
"""

import logging
import uuid
from typing import Final

from tasks.errors import LockLost, LockUnavailable, PushUndone
from tasks.oci.digest import Digest
from tasks.transfer.plan.decide import Decision
from tasks.transfer.plan.plan import PlannedTag
from tasks.transfer.ports import TagIntent, TagLock, TagLocks, Writer, Written
from tasks.transfer.publish.intent_log import IntentLog
from tasks.transfer.publish.intent_memory import Memory
from tasks.transfer.publish.noted_intents import NotedIntents
from tasks.transfer.publish.own_writes import OwnWrites
from tasks.transfer.publish.protective import ProtectiveTags
from tasks.transfer.publish.stage import Staged

LOG: Final = logging.getLogger(__name__)


class OwnWork:
    """The work of one push at one tag, as one delivery knows it; `writer` names both in the record of the tag.

    `writes` are those of this delivery. Used by one thread at a time.
    """

    def __init__(self, tag: PlannedTag, log: IntentLog, protective: ProtectiveTags, writes: OwnWrites) -> None:
        # Two deliveries may note the same change: each knows whether it was the one that came to write it.
        self.writer = Writer(log.push_id, uuid.uuid4().hex)
        self._planned = tag
        self._intents = NotedIntents(log)
        self._protective = protective
        self._writes = writes

    @property
    def memory(self) -> Memory:
        """The intents of the push at the tag, as this delivery remembers them."""
        return self._intents.memory

    @property
    def begun(self) -> bool:
        """Whether this delivery began to write the tag, or to put it back."""
        return self._writes.begun

    @property
    def may_have_written(self) -> bool:
        """Whether this run of the push, perhaps by another delivery, may have written the tag."""
        return self._writes.begun or self.memory.may_have_written

    def left(self, staged: Staged) -> TagIntent:
        """Return the intent of a tag that stays as it is: this push's own intent, or one without a change."""
        left = self.memory.left(staged.decision)
        if not left.changes and staged.over and staged.record.push_that_wrote(staged.over) == self.writer.push_id:
            # Another delivery noted it since this one read the intents: the lock was lost, or held twice.
            self.recall()
            left = self.memory.left(staged.decision)
        return left

    def moved_before(self, staged: Staged) -> TagIntent | None:
        """Return the move of an earlier delivery which others have built on since (BEHAVIOUR 7.7)."""
        latest = self.memory.latest
        if latest is None or not latest.changes or latest.settled or self.memory.own(latest.new_digest) is None:
            return None
        by_another = latest.by != self.writer.delivery
        verified = staged.record.has_verified(latest.new_digest, self.writer, by_another=by_another)
        return latest if verified else None

    def written_late(self, lock: TagLock) -> TagIntent | None:
        """Return the change by which a late write of this delivery replaced the work of others, if one did."""
        return self._writes.late_change(lock, self.memory)

    def protection_left(self) -> str | None:
        """Return the name of a protective tag of a tag that was put back, if one is still there."""
        return self._protective.first_left(self.memory.beside())

    def recall(self, *, has_written: bool | None = None) -> None:
        """Read the last noted intent into the memory; `has_written` tells, if known, whether the push came to write."""
        self._intents.recall(has_written=has_written)

    def tell_whose(self, staged: Staged) -> None:
        """Find out whether this push, or another push of the same image, wrote what the tag holds."""
        held, latest = staged.over, self.memory.latest
        if held is None or latest is None or not latest.changes or latest.new_digest != held:
            return
        writer = staged.record.push_that_wrote(held)
        if writer is not None:
            self._intents.tell(is_mine=writer == self.writer.push_id)

    def note(self, lock: TagLock, staged: Staged, intent: TagIntent) -> None:
        """Note a write in the record of the tag, and then its intent: one without the other was verified.

        Raises LockLost, PushUndone.
        """
        last = staged.record.last
        if not staged.mends and staged.over != last:
            # Someone else wrote it. Otherwise what they removed would be brought back once this push is killed.
            if staged.over is not None and (begun := staged.record.begun.get(staged.over)):
                # A push whose delivery stands still, or is dead, moved the tag, though nobody looked after its write.
                lock.note_landed(staged.over, begun)
            lock.note_seen(staged.seen, last)
            last = staged.over
        lock.note_writing(intent.new_digest, last, self.writer)
        try:
            self._intents.note(intent, staged.base)
        except (LockLost, PushUndone):
            if not self._writes.includes(intent.new_digest):
                lock.drop_writing(intent.new_digest, self.writer)
            raise

    def begin(self, lock: TagLock, digest: Digest) -> None:
        """Note that the write of the tag begins; raises LockLost."""
        lock.note_begun(digest, self.writer)
        lock.ensure()
        self._writes.begin(digest)
        self._intents.begin_writing()

    def settle(self, lock: TagLock, staged: Staged) -> None:
        """Note what this push wrote: a late write that replaces it is mended from the note (BEHAVIOUR 7.6)."""
        held = staged.decision
        # What a late write replaced is still the work of whoever wrote it, and an undo of that push takes it back.
        whose = staged.record.writer if staged.restores else None
        lock.ensure()
        lock.note_written(Written(held.digest, held.media_type, held.content), self.writer, whose)

    def put_back_to(self, digest: Digest | None) -> None:
        """Remember that the tag is about to be put back, None to delete it: that may be a late write, too."""
        self._writes.begin(digest)

    def found(self, decision: Decision) -> None:
        """Note that a tag of a release is as wanted by the work of others, for the report of a later delivery."""
        self._disown(decision)
        if self.memory.latest is None and self._planned.old_digest != decision.digest:
            self._intents.note_unchanged(decision)

    def give_way(self, lock: TagLock, staged: Staged) -> None:
        """Forget a write that was announced and not begun: an undo of this push leaves alone what others wrote."""
        self._intents.recall()
        latest, held = self.memory.latest, staged.over
        if latest is None or not self.memory.is_idle:
            return
        self._protective.delete(tag for tag, digest in self.memory.beside().items() if digest != held)
        self._disown(staged.decision)
        if not self._writes.includes(latest.new_digest):
            lock.drop_writing(latest.new_digest, self.writer)

    def forget(self) -> None:
        """Note that the tag was put back: its later manifests are the work of others."""
        self._intents.forget()

    def clean(self, locks: TagLocks) -> str | None:
        """Delete the protective tags of a tag that this push did not move, and return the name of one that stays.

        Those that another push needs are not deleted: under the lock of the tag no push begins to need one. If the push
        certainly did not begin to write the tag, an undo leaves alone what others write there.
        """
        tags = self.memory.protective_tags()
        if self.memory.latest is None:
            return None
        try:
            with locks.hold(str(self._planned.reference)):
                left = self._protective.delete(tags)
                self._disown()
        except (LockUnavailable, LockLost) as error:
            LOG.warning("%s: protective tags may stay: %s", self._planned.reference, error)
            left = tags
        return next(iter(left), None)

    def _disown(self, found: Decision | None = None) -> None:
        """Forget the last intent if the push certainly did not begin to write the tag: others wrote what it holds."""
        if not self.memory.is_idle or (found is not None and self.memory.own(found.digest) is not None):
            return
        self._protective.give_up(self.memory.beside())
        self._intents.forget(found)
