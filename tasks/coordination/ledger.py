"""The ledger of pushes: their requests, plans and progress."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Self, TypeVar

import msgspec

from tasks import contract
from tasks.coordination.hashes import Hashes
from tasks.coordination.tag_ledger import PREFIX, TagLedger
from tasks.errors import ImagePusherError, PushUnknown, from_record, to_record
from tasks.oci.digest import Digest
from tasks.transfer.plan.plan import Copy, Plan, ResolvedItem
from tasks.transfer.ports import (
    CopyOutcome,
    EarlierTag,
    Intervention,
    KeptReceipt,
    OpenPush,
    TagIntent,
    TakenCopy,
    UndoState,
)

LOG: Final = logging.getLogger(__name__)
_PUSHES: Final = f"{PREFIX}pushes"
# Pushes without a stored result, which the watchdog checks. Enqueued pushes are among them: a broker on Redis loses a
# message if the worker that takes it is killed before it has noted the message.
_OPEN: Final = f"{PREFIX}open"
_RELEASING: Final = f"{PREFIX}releasing:"
_PLANNED_PARTS: Final = ("plan", "copies", "progress", "tags", "starts", "releases", "waits", "warnings")
# The states of a task that waits for the result.
_NOTED, _ACCEPTED = b"noted", b"accepted"
# The records of a refused push, which are removed when the push is sent again.
_REFUSED: Final = ("refusal", "state")

Record = TypeVar("Record")


class _Outline(msgspec.Struct, frozen=True):
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


class HashLedger(TagLedger):
    """A ledger on hashes: one for the push itself, one for each kind of its records."""

    def __init__(
        self, hashes: Hashes, clock: Callable[[], float] = time.time, history_seconds: float | None = None
    ) -> None:
        super().__init__(hashes, clock, history_seconds)
        self._hashes = hashes
        self._clock = clock

    def enqueue(self, push_id: str, request: dict[str, Any], task_id: str) -> None:
        now = self._now()
        self._hashes.drop(_key(push_id), *_REFUSED)
        fields = {"request": msgspec.json.encode(request), "created": now, "task_id": task_id.encode()}
        self._hashes.put({_key(push_id): fields, _PUSHES: {push_id: now}, _OPEN: {push_id: now}})

    def note_waiting(self, push_id: str, task_id: str) -> None:
        now = self._now()
        waiting = {_key(push_id, "waiting"): {task_id: _NOTED}}
        self._hashes.put({**waiting, _key(push_id): {"updated": now}, _OPEN: {push_id: now}})

    def refuse(self, push_id: str, refusal: contract.Fault) -> None:
        if self._field(push_id, "updated") is not None or not contract.is_push_id(push_id):
            return
        created = self._field(push_id, "created") or self._now()
        self._hashes.drop(_key(push_id), "request", "task_id")
        fields = {"created": created, "refusal": msgspec.json.encode(refusal), "state": b"refused"}
        self._hashes.put({_key(push_id): fields, _PUSHES: {push_id: created}})
        self._hashes.drop(_OPEN, push_id)

    def refusal(self, push_id: str) -> contract.Fault | None:
        return _decode(self._field(push_id, "refusal"), contract.Fault)

    def accept(self, push_id: str, request: dict[str, Any], task_id: str) -> None:
        now = self._now()
        self._hashes.drop(_key(push_id), *_REFUSED)
        (created,) = self._hashes.fetch((_key(push_id), "created"))
        fields = {
            "created": created or now,
            "request": msgspec.json.encode(request),
            "task_id": task_id.encode(),
            "updated": now,
        }
        waiting = {_key(push_id, "waiting"): {task_id: _ACCEPTED}}
        self._hashes.put({**waiting, _key(push_id): fields, _PUSHES: {push_id: now}, _OPEN: {push_id: now}})

    def request(self, push_id: str) -> dict[str, Any] | None:
        return _decode(self._field(push_id, "request"), dict[str, Any])

    def note_producer(self, push_id: str, producer: str) -> None:
        self._hashes.put({_key(push_id): {"producer": producer.encode()}})

    def producer(self, push_id: str) -> str | None:
        found = self._field(push_id, "producer")
        return None if found is None else found.decode()

    def updated(self, push_id: str) -> float | None:
        found = self._field(push_id, "updated")
        return None if found is None else float(found)

    def task_id(self, push_id: str) -> str | None:
        found = self._field(push_id, "task_id")
        return None if found is None else found.decode()

    def reopen(self, push_id: str) -> None:
        ended = self._field(push_id, "report") is not None
        self._hashes.drop(
            _key(push_id), "report", "state", "plan", "outline", "sent", "undone", "cancelled", "drives", "quiet_until"
        )
        earlier = [
            EarlierTag(tag, reported=ended) for tag in self.tags(push_id).values() if tag.action in {"copied", "merged"}
        ]
        if earlier:
            self._hashes.put({_key(push_id, "earlier"): {each.tag.reference: _encode(each) for each in earlier}})
        self._hashes.delete(*(_key(push_id, part) for part in _PLANNED_PARTS))

    def save_plan(self, plan: Plan) -> None:
        outline = _Outline.of(plan)
        # Copies are stored apart from the rest: a task reads its own copy, not thousands of others.
        copies = {str(copy.digest): _encode(copy) for copy in plan.copies}
        whole = {"outline": msgspec.json.encode(outline), "plan": _encode(plan), "updated": self._now()}
        self._hashes.put(({_key(plan.push_id, "plan"): copies} if copies else {}) | {_key(plan.push_id): whole})

    def plan(self, push_id: str) -> Plan | None:
        return _decode(self._field(push_id, "plan"), Plan)

    def mark_sent(self, push_id: str) -> None:
        self._put(push_id, "", "sent", b"1")

    def was_sent(self, push_id: str) -> bool:
        return self._field(push_id, "sent") is not None

    def take_copy(self, push_id: str, digest: str) -> TakenCopy:
        copy, outcome, lost, content = self._hashes.fetch(
            *((_key(push_id, part), digest) for part in ("plan", "copies", "starts", "contents"))
        )
        return TakenCopy(_decode(copy, Copy), _decode(outcome, CopyOutcome), int(lost or 0), content)

    def lost(self, push_id: str, parts: Sequence[str]) -> list[int]:
        return [int(found or 0) for found in self._hashes.fetch(*((_key(push_id, "starts"), part) for part in parts))]

    def begin(self, push_id: str, part: str) -> None:
        self._hashes.increment(_key(push_id, "starts"), part)

    def settle(self, push_id: str, part: str) -> None:
        self._hashes.drop(_key(push_id, "starts"), part)

    def wait(self, push_id: str, part: str, waiting: contract.Waiting) -> None:
        self.settle(push_id, part)
        self._put(push_id, "waits", part, _encode(waiting))
        self._put(push_id, "", "quiet_until", repr(waiting.until).encode())

    def waits(self, push_id: str) -> dict[str, contract.Waiting]:
        return self._records(push_id, "waits", contract.Waiting)

    def touch(self, push_id: str) -> None:
        if self._field(push_id, "created") is not None:
            self._hashes.put({_key(push_id): {"updated": self._now()}})

    def keep_content(self, push_id: str, digest: Digest, content: bytes) -> None:
        self._put(push_id, "contents", digest, content)

    def content(self, push_id: str, digest: str) -> bytes | None:
        return self._hashes.fetch((_key(push_id, "contents"), digest))[0]

    def record_copy(self, push_id: str, outcome: CopyOutcome, progress: contract.CopyProgress) -> None:
        self._hashes.put(
            {
                _key(push_id, "copies"): {outcome.digest: _encode(outcome)},
                _key(push_id, "progress"): {progress.digest: _encode(progress)},
                _key(push_id): {"updated": self._now()},
            }
        )

    def copies(self, push_id: str) -> dict[str, CopyOutcome]:
        return self._records(push_id, "copies", CopyOutcome)

    def record_progress(self, push_id: str, progress: contract.CopyProgress) -> None:
        self._put(push_id, "progress", progress.digest, msgspec.json.encode(progress))

    def record_intent(self, push_id: str, reference: str, intent: TagIntent) -> TagIntent | None:
        key, content = _key(push_id, "intents"), msgspec.json.encode(intent)
        records = {key: {reference: content}, _key(push_id): {"updated": self._now()}}
        return _decode(self._hashes.exchange((key, reference), records), TagIntent)

    def intent(self, push_id: str, reference: str) -> TagIntent | None:
        return _decode(self._hashes.fetch((_key(push_id, "intents"), reference))[0], TagIntent)

    def intents(self, push_id: str) -> dict[str, TagIntent]:
        return self._records(push_id, "intents", TagIntent)

    def earlier_tags(self, push_id: str) -> dict[str, EarlierTag]:
        return self._records(push_id, "earlier", EarlierTag)

    def warn(self, push_id: str, warnings: Iterable[str]) -> None:
        fields = dict.fromkeys(warnings, b"1")
        if fields:
            self._hashes.put({_key(push_id, "warnings"): fields})

    def warnings(self, push_id: str) -> list[str]:
        return sorted(self._hashes.all(_key(push_id, "warnings")))

    def note_release(self, push_id: str, name: str, direction: str) -> None:
        self._put(push_id, "releases", name, direction.encode())

    def release(self, push_id: str, name: str) -> str | None:
        found = self._hashes.fetch((_key(push_id, "releases"), name))[0]
        return None if found is None else found.decode()

    def note_release_at(self, reference: str, push_id: str, name: str) -> None:
        self._hashes.put({f"{_RELEASING}{reference}": {"push": push_id.encode(), "name": name.encode()}})

    def release_at(self, reference: str) -> tuple[str, str] | None:
        push_id, name = self._hashes.fetch(*((f"{_RELEASING}{reference}", field) for field in ("push", "name")))
        return None if push_id is None or name is None else (push_id.decode(), name.decode())

    def record_tag(self, push_id: str, key: str, tag: contract.TagReport) -> None:
        self._put(push_id, "tags", key, _encode(tag))

    def tags(self, push_id: str) -> dict[str, contract.TagReport]:
        return self._records(push_id, "tags", contract.TagReport)

    def keep_receipt(self, push_id: str, receipt: KeptReceipt) -> None:
        self._put(push_id, "receipts", receipt.name, msgspec.json.encode(receipt))

    def receipt(self, push_id: str, name: str) -> KeptReceipt | None:
        return _decode(self._hashes.fetch((_key(push_id, "receipts"), name))[0], KeptReceipt)

    def receipts(self, push_id: str) -> list[KeptReceipt]:
        return list(self._records(push_id, "receipts", KeptReceipt).values())

    def finish(self, report: contract.PushReport) -> contract.PushReport:
        report = msgspec.structs.replace(report, producer=self.producer(report.push_id))
        fields = {"report": msgspec.json.encode(report), "state": report.state.encode(), "updated": self._now()}
        self._hashes.put({_key(report.push_id): fields})
        return report

    def report(self, push_id: str) -> contract.PushReport | None:
        return _decode(self._field(push_id, "report"), contract.PushReport)

    def mark_undone(self, push_id: str, state: UndoState) -> None:
        self._put(push_id, "", "undone", state.encode())

    def undo_state(self, push_id: str) -> UndoState | None:
        found = self._field(push_id, "undone")
        return None if found is None else msgspec.convert(found.decode(), UndoState)

    def is_undone(self, push_id: str) -> bool:
        return self._field(push_id, "undone") is not None

    def mark_cancelled(self, push_id: str) -> None:
        self._put(push_id, "", "cancelled", b"1")

    def is_cancelled(self, push_id: str) -> bool:
        return self._field(push_id, "cancelled") is not None

    def progress(self, push_id: str) -> contract.Progress:
        """Return the progress of a push; raises PushUnknown."""
        names = ("created", "updated", "outline", "state")
        created, updated, outlined, state = self._hashes.fetch(*((_key(push_id), name) for name in names))
        if created is None:
            raise PushUnknown(f"No push {push_id!r} is known here.")
        outline = _decode(outlined, _Outline)
        recorded = self._records(push_id, "progress", contract.CopyProgress)
        copies = outline.named(recorded) if outline else []
        waiting = None if state is not None else self._waiting(push_id)
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
            updated=float(updated or created),
            copies=copies,
            tags=outline.tags if outline else 0,
            tags_done=self._hashes.size(_key(push_id, "tags")),
        )

    def _waiting(self, push_id: str) -> contract.Waiting | None:
        """Return the longest of the present waits."""
        now = self._clock()
        waits = [wait for wait in self.waits(push_id).values() if wait.until > now]
        return min(waits, key=lambda wait: wait.since, default=None)

    def pushes(self) -> list[contract.Progress]:
        """Return the progress of all recorded pushes, the newest first."""
        known = []
        for push_id in self._hashes.all(_PUSHES):
            try:
                known.append(self.progress(push_id))
            except PushUnknown:
                self._hashes.drop(_PUSHES, push_id)
        return sorted(known, key=lambda push: push.created, reverse=True)

    def push_ids(self) -> list[str]:
        """Return the ids of all recorded pushes, the latest sent first."""
        known = self._hashes.all(_PUSHES)
        return sorted(known, key=lambda push_id: float(known[push_id]), reverse=True)

    def ended_states(self, push_ids: Sequence[str]) -> list[contract.ProgressState | None]:
        found = self._hashes.fetch(*((_key(push_id), "state") for push_id in push_ids))
        return [None if state is None else _ended(state) for state in found]

    def requests(self, push_ids: Sequence[str]) -> list[dict[str, Any] | None]:
        found = self._hashes.fetch(*((_key(push_id), "request") for push_id in push_ids))
        return [_decode(request, dict[str, Any]) for request in found]

    def note_intervention(self, push_id: str, intervention: Intervention) -> None:
        # This is no sign of life of the push: the watchdog waits for signs from its workers.
        self._hashes.put({_key(push_id, "interventions"): {repr(intervention.at): msgspec.json.encode(intervention)}})

    def interventions(self, push_id: str) -> list[Intervention]:
        found = self._records(push_id, "interventions", Intervention)
        return sorted(found.values(), key=lambda intervention: intervention.at)

    def open_pushes(self) -> list[OpenPush]:
        return self._readable(self._hashes.all(_OPEN))

    def open_ages(self) -> list[float]:
        """Return the seconds since each open push was accepted."""
        now = self._clock()
        return [now - float(accepted) for accepted in self._hashes.all(_OPEN).values()]

    def is_open(self, push_id: str) -> bool:
        return self._hashes.fetch((_OPEN, push_id))[0] is not None

    def overlooked(self) -> list[OpenPush]:
        known = self._hashes.all(_PUSHES)
        listed = self._hashes.all(_OPEN)
        unlisted = [push_id for push_id in known if push_id not in listed]
        states = self._hashes.fetch(*((_key(push_id), "state") for push_id in unlisted))
        found = self._readable(push_id for push_id, state in zip(unlisted, states, strict=True) if state is None)
        if expired := [push.push_id for push in found if not push.known]:
            self._hashes.drop(_PUSHES, *expired)
        return [push for push in found if push.known]

    def list_again(self, push_id: str) -> None:
        self._hashes.put({_OPEN: {push_id: self._now()}})

    def note_drive(self, push: OpenPush) -> None:
        drives = b"%d" % (push.drives + 1)
        self._hashes.put(
            {_key(push.push_id): {"drives": drives, "driven_at": b"%d" % push.done, "updated": self._now()}}
        )

    def close(self, push_id: str) -> None:
        self._hashes.drop(_OPEN, push_id)
        self._hashes.delete(_key(push_id, "waiting"))

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
            *((_key(push_id), name) for name in names)
        )
        heard = updated or created
        waiting = self._hashes.all(_key(push_id, "waiting"))
        done = self._hashes.size(_key(push_id, "copies")) + self._hashes.size(_key(push_id, "tags"))
        return OpenPush(
            push_id=push_id,
            task_id=(task_id or push_id.encode()).decode(),
            known=heard is not None,
            planned=outlined is not None,
            ended=state is not None,
            quiet_since=max(float(heard or 0), float(quiet_until or 0)),
            done=done,
            drives=int(drives or 0) if int(driven_at or -1) == done else 0,
            accepted=tuple(task for task, how in waiting.items() if how == _ACCEPTED),
            noted=tuple(task for task, how in waiting.items() if how == _NOTED),
        )

    def _now(self) -> bytes:
        return repr(self._clock()).encode()

    def _field(self, push_id: str, field: str) -> bytes | None:
        return self._hashes.fetch((_key(push_id), field))[0]

    def _put(self, push_id: str, part: str, field: str, value: bytes) -> None:
        """Write one field of a push, and the time of the write."""
        if part:
            self._hashes.put({_key(push_id, part): {field: value}, _key(push_id): {"updated": self._now()}})
        else:
            self._hashes.put({_key(push_id): {field: value, "updated": self._now()}})

    def _records(self, push_id: str, part: str, kind: type[Record]) -> dict[str, Record]:
        found = self._hashes.all(_key(push_id, part))
        return {field: _read(value, kind) for field, value in found.items()}


def _key(push_id: str, part: str = "") -> str:
    # Push ids have no slash: the key of one push cannot be that of another one's part.
    return f"{PREFIX}push:{push_id}/{part}" if part else f"{PREFIX}push:{push_id}"


def _encode(record: Any) -> bytes:
    return msgspec.json.encode(record, enc_hook=_encode_error)


def _encode_error(value: Any) -> Any:
    if isinstance(value, ImagePusherError):
        return to_record(value)
    raise NotImplementedError(f"{type(value).__name__} is not kept in the ledger")


def _decode(found: bytes | None, kind: type[Record]) -> Record | None:
    return None if found is None else _read(found, kind)


def _read(found: bytes, kind: type[Record]) -> Record:
    return msgspec.json.decode(found, type=kind, dec_hook=_decode_error)


def _decode_error(kind: type, value: Any) -> Any:
    if kind is ImagePusherError:
        return from_record(value)
    raise NotImplementedError(f"{kind.__name__} is not kept in the ledger")


def _ended(state: bytes) -> contract.ProgressState:
    known: contract.ProgressState = msgspec.convert(state.decode(), contract.ProgressState)
    return known


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
