"""The progress of pushes, from the records of their parts."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import msgspec

from tasks import contract
from tasks.coordination.push_records import PUSHES, PushRecords, decode, key_of
from tasks.errors import PushUnknown
from tasks.transfer.plan.plan import Plan, ResolvedItem
from tasks.transfer.ports import CalledOff

# How long a look may take, with its tries.
_LOOK_SECONDS: Final = 30.0


class Outline(msgspec.Struct, frozen=True):
    """The part of a plan that progress needs; `source_of` and `platforms` are those of each digest."""

    digests: list[str]
    tags: int
    sources: list[str] = []
    source_of: list[int] = []
    platforms: list[str | None] = []

    @classmethod
    def of(cls, plan: Plan) -> Self:
        resolved = [(number, item) for number, item in enumerate(plan.items) if isinstance(item, ResolvedItem)]
        first = {digest: number for number, item in reversed(resolved) for digest in item.needs}
        return cls(
            digests=[copy.digest for copy in plan.copies],
            tags=sum(len(item.tags) for item in plan.items),
            sources=[str(item.wanted.source) for item in plan.items],
            source_of=[first.get(copy.digest, -1) for copy in plan.copies],
            platforms=[copy.platform for copy in plan.copies],
        )

    def named(self, recorded: Mapping[str, contract.CopyProgress]) -> list[contract.CopyProgress]:
        """Return the progress of every copy, with its image and platform."""
        copies = [recorded.get(digest) or contract.CopyProgress(digest=digest) for digest in self.digests]
        if not self.source_of:
            return copies
        return [
            msgspec.structs.replace(copy, source=self.sources[number] if number >= 0 else None, platform=platform)
            for copy, number, platform in zip(copies, self.source_of, self.platforms, strict=True)
        ]


class ProgressLedger(PushRecords):
    """The progress of each push, and the list of all pushes."""

    def waits(self, push_id: str) -> dict[str, contract.Waiting]:
        return self._records(push_id, "waits", contract.Waiting)

    def progress(self, push_id: str) -> contract.Progress:
        """Return the progress of a push; raises PushUnknown."""
        names = ("created", "updated", "outline", "state")
        created, updated, outlined, state = self._hashes.fetch(*((key_of(push_id), name) for name in names))
        if created is None:
            raise PushUnknown(f"No push {push_id!r} is known here.")
        outline = decode(outlined, Outline)
        recorded = self._records(push_id, "progress", contract.CopyProgress)
        copies = outline.named(recorded) if outline else []
        heard = float(updated or created)
        waiting = None if state is not None else self._waiting(push_id, heard)
        return contract.Progress(
            push_id=push_id,
            state=_state(
                state,
                accepted=updated is not None,
                planned=outline is not None,
                copies=copies,
                waits=waiting is not None,
            ),
            waiting=waiting,
            created=float(created),
            updated=heard,
            copies=copies,
            tags=outline.tags if outline else 0,
            tags_done=self._hashes.size(key_of(push_id, "tags")),
        )

    def _waiting(self, push_id: str, heard: float) -> contract.Waiting | None:
        """Return the longest of the present waits.

        The look whether a registry serves again is part of the wait: nothing has been `heard` of the push since.
        """
        now = self._clock()
        looked = now - _LOOK_SECONDS
        waits = self.waits(push_id).values()
        present = [wait for wait in waits if wait.until > now or (wait.until > looked and heard <= wait.until)]
        return min(present, key=lambda wait: wait.since, default=None)

    def pushes(self) -> list[contract.Progress]:
        """Return the progress of all recorded pushes, the newest first."""
        known = []
        for push_id in self._hashes.all(PUSHES):
            try:
                known.append(self.progress(push_id))
            except PushUnknown:
                self._hashes.drop(PUSHES, push_id)
        return sorted(known, key=lambda push: push.created, reverse=True)

    def push_ids(self) -> list[str]:
        """Return the ids of all recorded pushes, the latest sent first."""
        known = self._hashes.all(PUSHES)
        return sorted(known, key=lambda push_id: float(known[push_id]), reverse=True)

    def ended_states(self, push_ids: Sequence[str]) -> list[contract.ProgressState | None]:
        found = self._hashes.fetch(*((key_of(push_id), "state") for push_id in push_ids))
        return [None if state is None else _ended(state) for state in found]

    def called_off(self, push_ids: Sequence[str]) -> list[CalledOff | None]:
        places = [(key_of(push_id), name) for push_id in push_ids for name in ("cancelled", "undone")]
        found = self._hashes.fetch(*places)
        return [_called_off(*pair) for pair in zip(found[::2], found[1::2], strict=True)]

    def requests(self, push_ids: Sequence[str]) -> list[dict[str, Any] | None]:
        found = self._hashes.fetch(*((key_of(push_id), "request") for push_id in push_ids))
        return [decode(request, dict[str, Any]) for request in found]


def _ended(state: bytes) -> contract.ProgressState:
    known: contract.ProgressState = msgspec.convert(state.decode(), contract.ProgressState)
    return known


def _called_off(cancelled: bytes | None, undone: bytes | None) -> CalledOff | None:
    if undone not in {None, b"failed"}:
        return "undone"
    return None if cancelled is None else "cancelled"


def _state(
    ended: bytes | None, *, accepted: bool, planned: bool, copies: list[contract.CopyProgress], waits: bool
) -> Any:
    if ended is not None:
        return ended.decode()
    if waits:
        return "waiting"
    if not planned:
        return "accepted" if accepted else "enqueued"
    return "publishing" if all(copy.ended for copy in copies) else "copying"
