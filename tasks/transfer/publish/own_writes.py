"""The writes of one delivery at one tag: a late one may have replaced the work of others (BEHAVIOUR 7.6)."""

from tasks.oci.digest import Digest
from tasks.transfer.ports import NO_TAG, TagIntent, TagLock
from tasks.transfer.publish.held_digest import HeldDigest
from tasks.transfer.publish.intent_memory import Memory
from tasks.transfer.publish.stage import Stage


class OwnWrites:
    """The digests that one delivery wrote, or began to write; `begun` tells whether any write or deletion began."""

    def __init__(self, held: HeldDigest, stage: Stage) -> None:
        self._held = held
        self._stage = stage
        self._digests: set[Digest] = set()
        self._deletes = False
        self.begun = False

    def begin(self, digest: Digest | None) -> None:
        """Remember that the tag is about to be written, or deleted if `digest` is None."""
        self.begun = True
        if digest is None:
            self._deletes = True
        else:
            self._digests.add(digest)

    def includes(self, digest: Digest) -> bool:
        """Tell whether this delivery wrote a digest, or began to write it."""
        return digest in self._digests

    def late_change(self, lock: TagLock, memory: Memory) -> TagIntent | None:
        """Return the change by which a late write of this delivery replaced the work of others, if one did.

        It leads back to what the late write replaced, or to what the tag held before the push if another delivery had
        put it back. Raises RegistryError, TagConflict.
        """
        held = self._held.now(*self._digests) if self._digests or self._deletes else None
        record = lock.record()
        is_ours = held in self._digests if held is not None else self._deletes
        if not is_ours or record.last == held:
            return None
        lost = self._stage.overwritten(held, record, lock)
        if lost is not None:
            old, media_type = lost.digest, lost.media_type
            return TagIntent(action="copied", old_digest=old, old_media_type=media_type, new_digest=held or NO_TAG)
        if held is None:
            return None
        latest, found = memory.latest, memory.intents.get(held)
        is_forgotten = latest is not None and not latest.changes
        return found if is_forgotten and found is not None and found.changes else None
