"""The requests of pushes: who sent them, which were refused, which workers took on."""

from typing import Any, Final

import msgspec

from tasks import contract
from tasks.coordination.open_pushes import ACCEPTED, NOTED, OPEN
from tasks.coordination.push_records import PUSHES, PushRecords, decode, key_of

# The records of a refused push, which are removed when the push is sent again.
_REFUSED: Final = ("refusal", "state")


class RequestLedger(PushRecords):
    """The request of each push, from the moment when it was sent."""

    def enqueue(self, push_id: str, request: dict[str, Any], task_id: str) -> None:
        now = self._now()
        self._hashes.drop(key_of(push_id), *_REFUSED)
        fields = {"request": msgspec.json.encode(request), "created": now, "task_id": task_id.encode()}
        self._hashes.put({key_of(push_id): fields, PUSHES: {push_id: now}, OPEN: {push_id: now}})

    def note_waiting(self, push_id: str, task_id: str) -> None:
        now = self._now()
        waiting = {key_of(push_id, "waiting"): {task_id: NOTED}}
        self._hashes.put({**waiting, key_of(push_id): {"updated": now}, OPEN: {push_id: now}})

    def refuse(self, push_id: str, refusal: contract.Fault) -> None:
        if self._field(push_id, "updated") is not None or not contract.is_push_id(push_id):
            return
        created = self._field(push_id, "created") or self._now()
        self._hashes.drop(key_of(push_id), "request", "task_id")
        fields = {"created": created, "refusal": msgspec.json.encode(refusal), "state": b"refused"}
        self._hashes.put({key_of(push_id): fields, PUSHES: {push_id: created}})
        self._hashes.drop(OPEN, push_id)

    def refusal(self, push_id: str) -> contract.Fault | None:
        return decode(self._field(push_id, "refusal"), contract.Fault)

    def accept(self, push_id: str, request: dict[str, Any], task_id: str) -> None:
        now = self._now()
        self._hashes.drop(key_of(push_id), *_REFUSED)
        (created,) = self._hashes.fetch((key_of(push_id), "created"))
        fields = {
            "created": created or now,
            "request": msgspec.json.encode(request),
            "task_id": task_id.encode(),
            "updated": now,
        }
        of_task = {key_of(push_id, "waiting"): {task_id: ACCEPTED}, key_of(push_id, "tasks"): {task_id: now}}
        self._hashes.put({**of_task, key_of(push_id): fields, PUSHES: {push_id: now}, OPEN: {push_id: now}})

    def was_accepted(self, push_id: str, task_id: str) -> bool:
        return self._hashes.fetch((key_of(push_id, "tasks"), task_id))[0] is not None

    def request(self, push_id: str) -> dict[str, Any] | None:
        return decode(self._field(push_id, "request"), dict[str, Any])

    def note_producer(self, push_id: str, producer: str) -> None:
        self._hashes.put({key_of(push_id): {"producer": producer.encode()}})

    def producer(self, push_id: str) -> str | None:
        found = self._field(push_id, "producer")
        return None if found is None else found.decode()

    def updated(self, push_id: str) -> float | None:
        found = self._field(push_id, "updated")
        return None if found is None else float(found)

    def task_id(self, push_id: str) -> str | None:
        found = self._field(push_id, "task_id")
        return None if found is None else found.decode()
