"""The open pushes, which the watchdog checks."""

import logging
from collections.abc import Iterable
from typing import Final

import msgspec

from tasks.coordination.push_records import PUSHES, PushRecords, key_of
from tasks.coordination.tag_ledger import PREFIX
from tasks.transfer.ports import OpenPush

LOG: Final = logging.getLogger(__name__)
# Pushes without a stored result. Enqueued pushes are among them: a broker on Redis loses a message if the worker that
# takes it is killed before it has noted the message.
OPEN: Final = f"{PREFIX}open"
_SPENT: Final = f"{PREFIX}spent:"
# The states of a task that waits for the result.
NOTED, ACCEPTED = b"noted", b"accepted"


class OpenLedger(PushRecords):
    """The list of open pushes."""

    def open_pushes(self) -> list[OpenPush]:
        return self._readable(self._hashes.all(OPEN))

    def open_ages(self) -> list[float]:
        """Return the seconds since each open push was accepted."""
        now = self._clock()
        return [now - float(accepted) for accepted in self._hashes.all(OPEN).values()]

    def is_open(self, push_id: str) -> bool:
        return self._hashes.fetch((OPEN, push_id))[0] is not None

    def mark_spent(self, task_id: str) -> None:
        self._hashes.put({f"{_SPENT}{task_id}": {"at": self._now()}})

    def is_spent(self, task_id: str) -> bool:
        return self._hashes.fetch((f"{_SPENT}{task_id}", "at"))[0] is not None

    def overlooked(self) -> list[OpenPush]:
        known = self._hashes.all(PUSHES)
        listed = self._hashes.all(OPEN)
        unlisted = [push_id for push_id in known if push_id not in listed]
        states = self._hashes.fetch(*((key_of(push_id), "state") for push_id in unlisted))
        found = self._readable(push_id for push_id, state in zip(unlisted, states, strict=True) if state is None)
        if expired := [push.push_id for push in found if not push.known]:
            self._hashes.drop(PUSHES, *expired)
        return [push for push in found if push.known]

    def list_again(self, push_id: str) -> None:
        self._hashes.put({OPEN: {push_id: self._now()}})

    def note_drive(self, push: OpenPush) -> None:
        drives = b"%d" % (push.drives + 1)
        self._hashes.put(
            {key_of(push.push_id): {"drives": drives, "driven_at": b"%d" % push.done, "updated": self._now()}}
        )

    def close(self, push: OpenPush) -> None:
        listed = OPEN, push.push_id
        self._hashes.drop_up_to_last(listed, key_of(push.push_id, "waiting"), *push.accepted, *push.noted)

    def _readable(self, push_ids: Iterable[str]) -> list[OpenPush]:
        """Return these pushes without those of unreadable records, which must not stop the others."""
        found = []
        for push_id in push_ids:
            try:
                found.append(self._open_push(push_id))
            except (ValueError, msgspec.MsgspecError) as error:
                LOG.error("The record of the push %s cannot be read (%s).", push_id, type(error).__name__)  # noqa: TRY400
        return found

    def _open_push(self, push_id: str) -> OpenPush:
        names = ("task_id", "created", "updated", "quiet_until", "outline", "state", "drives", "driven_at")
        task_id, created, updated, quiet_until, outlined, state, drives, driven_at = self._hashes.fetch(
            *((key_of(push_id), name) for name in names)
        )
        heard = updated or created
        waiting = self._hashes.all(key_of(push_id, "waiting"))
        done = self._hashes.size(key_of(push_id, "copies")) + self._hashes.size(key_of(push_id, "tags"))
        return OpenPush(
            push_id=push_id,
            task_id=(task_id or push_id.encode()).decode(),
            known=heard is not None,
            planned=outlined is not None,
            ended=state is not None,
            quiet_since=max(float(heard or 0), float(quiet_until or 0)),
            done=done,
            drives=int(drives or 0) if int(driven_at or -1) == done else 0,
            accepted=tuple(task for task, how in waiting.items() if how == ACCEPTED),
            noted=tuple(task for task, how in waiting.items() if how == NOTED),
        )
