"""The releases of pushes, and the last release at each tag (BEHAVIOUR 10.1)."""

from collections.abc import Collection
from typing import Final

from tasks.coordination.push_records import PushRecords, key_of
from tasks.coordination.tag_ledger import PREFIX
from tasks.transfer.plan.tag_facts import TagRelease

RELEASES: Final = "releases"
_RELEASING: Final = f"{PREFIX}releasing:"
# How the undo of a push ended if its release is not half of one.
_TAKEN_BACK: Final = (b"succeeded", b"partial")


class ReleaseLedger(PushRecords):
    """The direction of each release of a push."""

    def note_release(self, push_id: str, name: str, direction: str, over: Collection[str] | None = None) -> str | None:
        key = key_of(push_id, RELEASES)
        records = {key: {name: direction.encode()}, key_of(push_id): {"updated": self._now()}}
        known = None if over is None else [each.encode() for each in over]
        before = self._hashes.exchange((key, name), records, over=known)
        return None if before is None else before.decode()

    def release(self, push_id: str, name: str) -> str | None:
        found = self._hashes.fetch((key_of(push_id, RELEASES), name))[0]
        return None if found is None else found.decode()

    def note_release_at(self, reference: str, push_id: str, name: str) -> None:
        self._hashes.put({f"{_RELEASING}{reference}": {"push": push_id.encode(), "name": name.encode()}})

    def release_at(self, reference: str) -> TagRelease | None:
        found = self._hashes.fetch(*((f"{_RELEASING}{reference}", field) for field in ("push", "name")))
        push_id, name = (None if each is None else each.decode() for each in found)
        if push_id is None or name is None:
            return None
        key = key_of(push_id)
        direction, report, undone = self._hashes.fetch(
            (key_of(push_id, RELEASES), name), (key, "report"), (key, "undone")
        )
        has_ended = report is not None or undone in _TAKEN_BACK
        return TagRelease(push_id, name, None if direction is None else direction.decode(), has_ended)
