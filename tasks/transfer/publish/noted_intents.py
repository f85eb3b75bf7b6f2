"""The intents of a push at one tag: the ledger's log of them, and the memory of this delivery (BEHAVIOUR 6.6)."""

from contextlib import suppress

from tasks.errors import PushUndone
from tasks.transfer.plan.decide import Current, Decision
from tasks.transfer.ports import TagIntent
from tasks.transfer.publish.intent_log import IntentLog
from tasks.transfer.publish.intent_memory import Memory


class NotedIntents:
    """The intents of one push at one tag; used by one thread at a time.

    Each note names the last intent that this delivery knows of, so that it never replaces one of another delivery.
    """

    def __init__(self, log: IntentLog) -> None:
        self.log = log
        self.memory = Memory()
        self._known: TagIntent | None = None

    def recall(self, *, has_written: bool | None = None) -> None:
        """Read the last noted intent into the memory; `has_written` tells, if known, whether the push came to write."""
        self._known = self.log.read()
        self.memory = self.memory.recalling(self._known, has_written=has_written)

    def note(self, intent: TagIntent, replaced: Current | None) -> None:
        """Note an intent, and the bytes of the manifest that it replaces; raises LockLost, PushUndone."""
        self.log.note(intent, replaced, self._known)
        self._known = intent
        self.memory = self.memory.remembering(intent)

    def note_unchanged(self, found: Decision) -> None:
        """Note that the tag was found as wanted; raises LockLost, PushUndone."""
        intent = self.memory.left(found)
        self.log.note(intent, None, self._known)
        self._known = intent
        self.memory = self.memory.recalling(intent)

    def begin_writing(self) -> None:
        """Remember that the write of the tag begins."""
        self.memory = self.memory.writing()

    def forget(self, found: Decision | None = None) -> None:
        """Note that the tag was put back, or was `found` as wanted: its later manifests are the work of others."""
        self.recall()
        forgotten = self.memory.forgotten(found)
        if forgotten is None:
            return
        # An undo that began meanwhile is noticed before the next write.
        with suppress(PushUndone):
            self.log.note(forgotten, None, self._known)
        self._known = forgotten
        self.memory = Memory().recalling(forgotten)
