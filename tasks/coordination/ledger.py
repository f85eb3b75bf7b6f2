"""The ledger of pushes: what was asked, what was planned, what was done (DESIGN section 4)."""

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from tasks import contract
from tasks.coordination.hashes import Hashes
from tasks.errors import PushUnknown
from tasks.oci.digest import Digest
from tasks.transfer.plan import Copy, Plan
from tasks.transfer.ports import CopyOutcome, TagIntent

PREFIX: Final = "imagepusher:"
_PUSHES: Final = f"{PREFIX}pushes"

Record = TypeVar("Record")


class HashLedger:
    """A ledger on hashes: one for the push itself, one for each kind of record that grows with it."""

    def __init__(self, hashes: Hashes, clock: Callable[[], float] = time.time) -> None:
        self._hashes = hashes
        self._clock = clock

    def accept(self, push_id: str, request: dict[str, Any]) -> None:
        """Note that a worker took the push; what is known of it stays."""
        now = self._now()
        if self._hashes.get(_key(push_id), "created") is None:
            self._hashes.put(_key(push_id), {"created": now})
        self._hashes.put(_key(push_id), {"request": msgspec.json.encode(request), "updated": now})
        self._hashes.put(_PUSHES, {push_id: now})

    def request(self, push_id: str) -> dict[str, Any] | None:
        found = self._hashes.get(_key(push_id), "request")
        return None if found is None else msgspec.json.decode(found, type=dict[str, Any])

    def reopen(self, push_id: str) -> None:
        self._hashes.drop(_key(push_id), "report", "plan")
        self._hashes.delete(*(_key(push_id, part) for part in ("plan", "copies", "progress", "tags")))

    def save_plan(self, plan: Plan) -> None:
        # Copies stand apart from the rest: a task reads its own, not those of thousands of others.
        if plan.copies:
            copies = {copy.digest: msgspec.json.encode(copy) for copy in plan.copies}
            self._hashes.put(_key(plan.push_id, "plan"), copies)
        self._put(plan.push_id, "", "plan", plan)

    def plan(self, push_id: str) -> Plan | None:
        return _decode(self._hashes.get(_key(push_id), "plan"), Plan)

    def planned_copy(self, push_id: str, digest: str) -> Copy | None:
        return _decode(self._hashes.get(_key(push_id, "plan"), digest), Copy)

    def keep_content(self, push_id: str, digest: Digest, content: bytes) -> None:
        self._hashes.put(_key(push_id, "contents"), {digest: content})

    def content(self, push_id: str, digest: str) -> bytes | None:
        return self._hashes.get(_key(push_id, "contents"), digest)

    def record_copy(self, push_id: str, outcome: CopyOutcome) -> None:
        self._put(push_id, "copies", outcome.digest, outcome)

    def copies(self, push_id: str) -> dict[str, CopyOutcome]:
        return self._records(push_id, "copies", CopyOutcome)

    def record_progress(self, push_id: str, progress: contract.CopyProgress) -> None:
        self._put(push_id, "progress", progress.digest, progress)

    def record_intent(self, push_id: str, reference: str, intent: TagIntent) -> None:
        self._put(push_id, "intents", reference, intent)

    def intents(self, push_id: str) -> dict[str, TagIntent]:
        return self._records(push_id, "intents", TagIntent)

    def record_tag(self, push_id: str, tag: contract.TagReport) -> None:
        self._put(push_id, "tags", tag.reference, tag)

    def tags(self, push_id: str) -> dict[str, contract.TagReport]:
        return self._records(push_id, "tags", contract.TagReport)

    def finish(self, report: contract.PushReport) -> None:
        self._put(report.push_id, "", "report", report)

    def report(self, push_id: str) -> contract.PushReport | None:
        return _decode(self._hashes.get(_key(push_id), "report"), contract.PushReport)

    def progress(self, push_id: str) -> contract.Progress:
        """Return how far a push is; raises PushUnknown."""
        push = self._hashes.all(_key(push_id))
        if "created" not in push:
            raise PushUnknown(f"No push {push_id!r} is known here.")
        plan, report = _decode(push.get("plan"), Plan), _decode(push.get("report"), contract.PushReport)
        recorded = self._records(push_id, "progress", contract.CopyProgress)
        digests = [copy.digest for copy in plan.copies] if plan else []
        copies = [recorded.get(digest, contract.CopyProgress(digest=digest)) for digest in digests]
        return contract.Progress(
            push_id=push_id,
            state=_state(plan, report, copies),
            created=float(push["created"]),
            updated=float(push.get("updated", push["created"])),
            copies=copies,
            tags=sum(len(item.tags) for item in plan.items) if plan else 0,
            tags_done=len(self._hashes.all(_key(push_id, "tags"))),
        )

    def pushes(self) -> list[contract.Progress]:
        """Return the pushes that are remembered, the newest first."""
        known = []
        for push_id in self._hashes.all(_PUSHES):
            try:
                known.append(self.progress(push_id))
            except PushUnknown:
                self._hashes.drop(_PUSHES, push_id)
        return sorted(known, key=lambda push: push.created, reverse=True)

    def _now(self) -> bytes:
        return repr(self._clock()).encode()

    def _put(self, push_id: str, part: str, field: str, record: msgspec.Struct) -> None:
        self._hashes.put(_key(push_id, part), {field: msgspec.json.encode(record)})
        self._hashes.put(_key(push_id), {"updated": self._now()})

    def _records(self, push_id: str, part: str, kind: type[Record]) -> dict[str, Record]:
        found = self._hashes.all(_key(push_id, part))
        return {field: msgspec.json.decode(value, type=kind) for field, value in found.items()}


def _key(push_id: str, part: str = "") -> str:
    return f"{PREFIX}push:{push_id}:{part}" if part else f"{PREFIX}push:{push_id}"


def _decode(found: bytes | None, kind: type[Record]) -> Record | None:
    return None if found is None else msgspec.json.decode(found, type=kind)


def _state(plan: Plan | None, report: contract.PushReport | None, copies: list[contract.CopyProgress]) -> Any:
    if report is not None:
        return report.state
    if plan is None:
        return "accepted"
    return "publishing" if all(copy.ended for copy in copies) else "copying"
