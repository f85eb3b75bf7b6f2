"""The ledger of pushes: their requests, plans, outcomes and reports."""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from tasks import contract
from tasks.coordination.hashes import Hashes
from tasks.coordination.open_pushes import OpenLedger
from tasks.coordination.progress import Outline, ProgressLedger
from tasks.coordination.push_records import PushRecords, decode, encode, key_of, read
from tasks.coordination.release_ledger import RELEASES, ReleaseLedger
from tasks.coordination.request_ledger import RequestLedger
from tasks.coordination.tag_ledger import TagLedger
from tasks.oci.digest import Digest
from tasks.transfer.plan.plan import Copy, Plan
from tasks.transfer.ports import (
    CopyOutcome,
    EarlierTag,
    Intervention,
    KeptReceipt,
    TagIntent,
    TakenCopy,
    UndoState,
)

_PLANNED_PARTS: Final = ("plan", "copies", "progress", "tags", "starts", "waits", "warnings")
# The fields of a push that belong to one run of it.
_OF_A_RUN: Final = ("report", "state", "plan", "outline", "sent", "undone", "cancelled", "drives", "quiet_until")


class HashLedger(RequestLedger, ReleaseLedger, ProgressLedger, OpenLedger, TagLedger):
    """A ledger on hashes: one for the push itself, one for each kind of its records."""

    def __init__(
        self, hashes: Hashes, clock: Callable[[], float] = time.time, history_seconds: float | None = None
    ) -> None:
        PushRecords.__init__(self, hashes, clock)
        TagLedger.__init__(self, hashes, clock, history_seconds)

    def reopen(self, push_id: str) -> None:
        ended = self._field(push_id, "report") is not None
        earlier = [
            EarlierTag(tag, reported=ended) for tag in self.tags(push_id).values() if tag.action in {"copied", "merged"}
        ]
        if earlier:
            self._hashes.put({key_of(push_id, "earlier"): {each.tag.reference: encode(each) for each in earlier}})
        intents = self.intents(push_id)
        if ended and intents:
            settled = {name: encode(replace(each, settled=True)) for name, each in intents.items()}
            self._hashes.put({key_of(push_id, "intents"): settled})
        releases = key_of(push_id, RELEASES)
        # Half of a release stays one where its command was interrupted: other pushes still wait for its end.
        over = [name for name, direction in self._hashes.all(releases).items() if ended or direction == b"stands"]
        if over:
            self._hashes.drop(releases, *over)
        self._hashes.delete(*(key_of(push_id, part) for part in _PLANNED_PARTS))
        # Last: whoever is killed before finds the report, and begins again.
        self._hashes.drop(key_of(push_id), *_OF_A_RUN)

    def save_plan(self, plan: Plan) -> Plan:
        # Copies are stored apart from the rest: a task reads its own copy, not thousands of others.
        copies = {str(copy.digest): encode(copy) for copy in plan.copies}
        records = {key_of(plan.push_id, "plan"): copies} if copies else {}
        outline = msgspec.json.encode(Outline.of(plan))
        records[key_of(plan.push_id)] = {"outline": outline, "plan": encode(plan), "updated": self._now()}
        first = self._hashes.exchange((key_of(plan.push_id), "plan"), records, over=())
        return plan if first is None else read(first, Plan)

    def plan(self, push_id: str) -> Plan | None:
        return decode(self._field(push_id, "plan"), Plan)

    def mark_sent(self, push_id: str) -> None:
        self._put(push_id, "", "sent", b"1")

    def was_sent(self, push_id: str) -> bool:
        return self._field(push_id, "sent") is not None

    def take_copy(self, push_id: str, digest: str) -> TakenCopy:
        copy, outcome, lost, content, cancelled = self._hashes.fetch(
            *((key_of(push_id, part), digest) for part in ("plan", "copies", "starts", "contents")),
            (key_of(push_id), "cancelled"),
        )
        return TakenCopy(
            decode(copy, Copy), decode(outcome, CopyOutcome), int(lost or 0), content, cancelled is not None
        )

    def lost(self, push_id: str, parts: Sequence[str]) -> list[int]:
        return [int(found or 0) for found in self._hashes.fetch(*((key_of(push_id, "starts"), part) for part in parts))]

    def begin(self, push_id: str, part: str) -> None:
        self._hashes.increment(key_of(push_id, "starts"), part)

    def settle(self, push_id: str, part: str) -> None:
        self._hashes.drop(key_of(push_id, "starts"), part)

    def wait(self, push_id: str, part: str, waiting: contract.Waiting) -> None:
        self.settle(push_id, part)
        self.hold_up(push_id, part, waiting)

    def hold_up(self, push_id: str, part: str, waiting: contract.Waiting) -> None:
        self._put(push_id, "waits", part, encode(waiting))
        self._put(push_id, "", "quiet_until", repr(waiting.until).encode())

    def go_on(self, push_id: str, part: str) -> None:
        self._hashes.drop(key_of(push_id, "waits"), part)
        until = max((wait.until for wait in self.waits(push_id).values()), default=0.0)
        self._put(push_id, "", "quiet_until", repr(until).encode())

    def touch(self, push_id: str) -> None:
        if self._field(push_id, "created") is not None:
            self._hashes.put({key_of(push_id): {"updated": self._now()}})

    def keep_content(self, push_id: str, digest: Digest, content: bytes) -> None:
        self._put(push_id, "contents", digest, content)

    def content(self, push_id: str, digest: str) -> bytes | None:
        return self._hashes.fetch((key_of(push_id, "contents"), digest))[0]

    def record_copy(self, push_id: str, outcome: CopyOutcome, progress: contract.CopyProgress) -> None:
        self._hashes.put(
            {
                key_of(push_id, "copies"): {outcome.digest: encode(outcome)},
                key_of(push_id, "progress"): {progress.digest: encode(progress)},
                key_of(push_id): {"updated": self._now()},
            }
        )

    def copies(self, push_id: str) -> dict[str, CopyOutcome]:
        return self._records(push_id, "copies", CopyOutcome)

    def record_progress(self, push_id: str, progress: contract.CopyProgress) -> None:
        self._put(push_id, "progress", progress.digest, msgspec.json.encode(progress))

    def record_intent(
        self, push_id: str, reference: str, intent: TagIntent, over: Collection[TagIntent] | None = None
    ) -> TagIntent | None:
        place, content = (key_of(push_id, "intents"), reference), msgspec.json.encode(intent)
        records = {place[0]: {reference: content}, key_of(push_id): {"updated": self._now()}}
        known = [msgspec.json.encode(each) for each in over or ()]
        before = self._hashes.exchange(place, records, over=None if over is None else known)
        found = decode(before, TagIntent)
        if over is None or before is None or before in known or found not in over:
            return found
        # Another version of the program wrote the same intent in other words.
        return decode(self._hashes.exchange(place, records, over=[before]), TagIntent)

    def intent(self, push_id: str, reference: str) -> TagIntent | None:
        return decode(self._hashes.fetch((key_of(push_id, "intents"), reference))[0], TagIntent)

    def intents(self, push_id: str) -> dict[str, TagIntent]:
        return self._records(push_id, "intents", TagIntent)

    def earlier_tags(self, push_id: str) -> dict[str, EarlierTag]:
        return self._records(push_id, "earlier", EarlierTag)

    def warn(self, push_id: str, warnings: Iterable[str]) -> None:
        fields = dict.fromkeys(warnings, b"1")
        if fields:
            self._hashes.put({key_of(push_id, "warnings"): fields})

    def warnings(self, push_id: str) -> list[str]:
        return sorted(self._hashes.all(key_of(push_id, "warnings")))

    def record_tag(self, push_id: str, key: str, tag: contract.TagReport) -> contract.TagReport:
        place = key_of(push_id, "tags"), key
        records = {place[0]: {key: encode(tag)}, key_of(push_id): {"updated": self._now()}}
        first = self._hashes.exchange(place, records, over=())
        return tag if first is None else read(first, contract.TagReport)

    def tags(self, push_id: str) -> dict[str, contract.TagReport]:
        return self._records(push_id, "tags", contract.TagReport)

    def keep_receipt(self, push_id: str, receipt: KeptReceipt) -> None:
        self._put(push_id, "receipts", receipt.name, msgspec.json.encode(receipt))

    def receipt(self, push_id: str, name: str) -> KeptReceipt | None:
        return decode(self._hashes.fetch((key_of(push_id, "receipts"), name))[0], KeptReceipt)

    def receipts(self, push_id: str) -> list[KeptReceipt]:
        return list(self._records(push_id, "receipts", KeptReceipt).values())

    def finish(self, report: contract.PushReport) -> contract.PushReport:
        report = msgspec.structs.replace(report, producer=self.producer(report.push_id))
        key = key_of(report.push_id)
        fields = {"report": msgspec.json.encode(report), "state": report.state.encode(), "updated": self._now()}
        first = decode(self._hashes.exchange((key, "report"), {key: fields}, over=()), contract.PushReport)
        return report if first is None else first

    def report(self, push_id: str) -> contract.PushReport | None:
        return decode(self._field(push_id, "report"), contract.PushReport)

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

    def note_intervention(self, push_id: str, intervention: Intervention) -> None:
        # This is no sign of life of the push: the watchdog waits for signs from its workers.
        self._hashes.put({key_of(push_id, "interventions"): {repr(intervention.at): msgspec.json.encode(intervention)}})

    def interventions(self, push_id: str) -> list[Intervention]:
        found = self._records(push_id, "interventions", Intervention)
        return sorted(found.values(), key=lambda intervention: intervention.at)
