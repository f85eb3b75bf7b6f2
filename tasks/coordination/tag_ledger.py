"""The records of a tag: its holds, who set them, its moves, and which pushes need it (BEHAVIOUR 4.8, 10.5, 10.6)."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from tasks import contract
from tasks.coordination.hashes import Hashes
from tasks.oci.digest import digest_of
from tasks.transfer.ports import Intervention

PREFIX: Final = "imagepusher:"
_HOLDS: Final = f"{PREFIX}holds"
# Each move, and each intervention, is one value of Redis or SQLite; beyond this number the oldest are dropped.
MOST_MOVES: Final = 500


class TagLedger:
    """Holds and histories, by the full name of a tag; a history lives for `history_seconds` after its last move."""

    def __init__(self, hashes: Hashes, clock: Callable[[], float], history_seconds: float | None = None) -> None:
        self._tag_hashes = hashes
        self._tag_clock = clock
        self._history_seconds = history_seconds

    def hold(self, reference: str, why: str, by: str | None = None) -> contract.Hold:
        hold = contract.Hold(reference=reference, why=why, since=self._tag_clock(), by=by)
        self._tag_hashes.put({_HOLDS: {reference: msgspec.json.encode(hold)}}, seconds=math.inf)
        return hold

    def release_hold(self, reference: str) -> contract.Hold | None:
        hold = self.hold_of(reference)
        self._tag_hashes.drop(_HOLDS, reference)
        return hold

    def hold_of(self, reference: str) -> contract.Hold | None:
        found = self._tag_hashes.fetch((_HOLDS, reference))[0]
        return None if found is None else msgspec.json.decode(found, type=contract.Hold)

    def holds(self) -> list[contract.Hold]:
        found = self._tag_hashes.all(_HOLDS).values()
        return sorted((msgspec.json.decode(each, type=contract.Hold) for each in found), key=lambda hold: hold.since)

    def note_tag_intervention(self, reference: str, intervention: Intervention) -> None:
        key = _key(reference, "interventions")
        record = {key: {repr(intervention.at): msgspec.json.encode(intervention)}}
        self._tag_hashes.put(record, seconds=self._history_seconds)
        self._drop_oldest(key, {name: float(name) for name in self._tag_hashes.all(key)})

    def tag_interventions(self, reference: str) -> list[Intervention]:
        found = self._tag_hashes.all(_key(reference, "interventions")).values()
        return sorted((msgspec.json.decode(each, type=Intervention) for each in found), key=lambda each: each.at)

    def note_need(self, reference: str, push_id: str) -> None:
        self._tag_hashes.put({_key(reference, "needs"): {push_id: b"1"}})

    def drop_need(self, reference: str, push_id: str) -> None:
        self._tag_hashes.drop(_key(reference, "needs"), push_id)

    def needs(self, reference: str) -> set[str]:
        return set(self._tag_hashes.all(_key(reference, "needs")))

    def note_move(self, reference: str, move: contract.Move) -> None:
        known = self._moves(reference)
        same = [each for each in known.values() if _said(each) == _said(move)]
        if any(each.undone is None for each in same):
            # A repeated delivery.
            return
        # Two deliveries that note it at once give it one name; after an undo it is another move.
        name = digest_of(msgspec.json.encode((*_said(move), len(same))))
        self._write(reference, name, move)
        self._drop_oldest(_key(reference), {each: known[each].at for each in known} | {name: move.at})

    def note_undone(self, reference: str, push_id: str) -> None:
        for name, move in self._moves(reference).items():
            if move.push_id == push_id and move.undone is None:
                self._write(reference, name, msgspec.structs.replace(move, undone=self._tag_clock()))

    def history(self, reference: str) -> contract.History:
        return contract.History(reference=reference, moves=_newest_first(self._moves(reference).values()))

    def source_of(self, reference: str, digest: str) -> str | None:
        moves = self.history(reference).moves
        return next((move.source for move in moves if move.new_digest == digest), None)

    def _moves(self, reference: str) -> dict[str, contract.Move]:
        found = self._tag_hashes.all(_key(reference))
        return {name: msgspec.json.decode(each, type=contract.Move) for name, each in found.items()}

    def _write(self, reference: str, name: str, move: contract.Move) -> None:
        self._tag_hashes.put({_key(reference): {name: msgspec.json.encode(move)}}, seconds=self._history_seconds)

    def _drop_oldest(self, key: str, times: Mapping[str, float]) -> None:
        """Drop records beyond the bound; `times` has the time of each by its field."""
        oldest = sorted(times, key=lambda name: times[name])[: max(0, len(times) - MOST_MOVES)]
        if oldest:
            self._tag_hashes.drop(key, *oldest)


def _key(reference: str, kind: str = "history") -> str:
    return f"{PREFIX}{kind}:{reference}"


def _said(move: contract.Move) -> tuple[str, str | None, str]:
    return move.push_id, move.old_digest, move.new_digest


def _newest_first(moves: Iterable[contract.Move]) -> list[contract.Move]:
    return sorted(moves, key=lambda move: move.at, reverse=True)
