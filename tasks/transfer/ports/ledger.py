"""The ledger's ports, cut by what a user of the ledger may do. `tasks/coordination/ledger.py` implements all of them.

All writes may be repeated. All methods raise StateUnavailable.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from tasks import contract
from tasks.oci.digest import Digest
from tasks.transfer.plan.gate import TagFacts
from tasks.transfer.plan.plan import Plan
from tasks.transfer.ports.records import (
    CopyOutcome,
    EarlierTag,
    Intervention,
    OpenPush,
    TagIntent,
    TakenCopy,
    UndoState,
)


class Producers(Protocol):
    """Who asked for a push."""

    def note_producer(self, push_id: str, producer: str) -> None:
        """Note the producer who signed the request."""
        ...

    def producer(self, push_id: str) -> str | None:
        """Return the producer who signed the request; None for an operator, or where nobody signs."""
        ...


class Warned(Protocol):
    """The warnings that registries sent along with their answers to a push."""

    def warn(self, push_id: str, warnings: Iterable[str]) -> None:
        """Note warnings, each once."""
        ...

    def warnings(self, push_id: str) -> list[str]:
        """Return the warnings in alphabetical order."""
        ...


class Enqueued(Protocol):
    """Pushes on their way to a worker."""

    def enqueue(self, push_id: str, request: dict[str, Any], task_id: str) -> None:
        """Note that a push is enqueued; its result is that of `task_id`."""
        ...

    def note_waiting(self, push_id: str, task_id: str) -> None:
        """Note that one more task waits for the result of a push that is known, and is not taken on yet."""
        ...


class Requests(Protocol):
    """The request of each push, and the task whose result is that of the push."""

    def request(self, push_id: str) -> dict[str, Any] | None:
        """Return the request of a push, None for one that is not known."""
        ...

    def task_id(self, push_id: str) -> str | None:
        """Return the task whose result is that of the push."""
        ...

    def updated(self, push_id: str) -> float | None:
        """Return when a worker was heard of last that works on a push, in seconds since the epoch."""
        ...


class Acceptance(Requests, Protocol):
    """Pushes that workers take on."""

    def refuse(self, push_id: str, refusal: contract.Fault) -> None:
        """Note why a push was refused, unless a worker took one of that id on before; forget its request."""
        ...

    def accept(self, push_id: str, request: dict[str, Any], task_id: str) -> None:
        """Note that a worker took the push on; the rest of its record stays. Its result is that of `task_id`."""
        ...

    def reopen(self, push_id: str) -> None:
        """Forget the report, the plan and the outcomes of a push that is to be planned anew.

        Intents stay, and the tags that moved are remembered as those of an earlier run (BEHAVIOUR 7.7).
        """
        ...


class Plans(Protocol):
    """Plans, and the manifests that planning and publishing read."""

    def save_plan(self, plan: Plan) -> None:
        """Keep the plan of a push."""
        ...

    def plan(self, push_id: str) -> Plan | None:
        """Return the plan of a push, None where there is none yet, or no longer."""
        ...

    def mark_sent(self, push_id: str) -> None:
        """Note that the tasks of a push are being sent."""
        ...

    def was_sent(self, push_id: str) -> bool:
        """Tell whether the tasks of a push were being sent."""
        ...

    def keep_content(self, push_id: str, digest: Digest, content: bytes) -> None:
        """Keep the bytes of a manifest for as long as the push is remembered."""
        ...

    def content(self, push_id: str, digest: str) -> bytes | None:
        """Return the bytes of a manifest, None where they are not kept."""
        ...


class Starts(Protocol):
    """How often each part of a push (a digest, a tag, or a task's name) was started and never came back."""

    def lost(self, push_id: str, parts: Sequence[str]) -> list[int]:
        """Return how often each part was started and has not been settled."""
        ...

    def begin(self, push_id: str, part: str) -> None:
        """Count a start of a part."""
        ...

    def settle(self, push_id: str, part: str) -> None:
        """Forget the starts of a part that came back from its worker."""
        ...


class Waits(Protocol):
    """The parts of pushes that wait for their next delivery."""

    def wait(self, push_id: str, part: str, waiting: contract.Waiting) -> None:
        """Note that a part came back from its worker and waits."""
        ...

    def waits(self, push_id: str) -> dict[str, contract.Waiting]:
        """Return the last wait of each part that ever waited."""
        ...


class Pulse(Protocol):
    """The sign of life of a push."""

    def touch(self, push_id: str) -> None:
        """Note that a part of the push is alive."""
        ...


class Copies(Protocol):
    """The copies of a push, as the workers that carry them out see them."""

    def take_copy(self, push_id: str, digest: str) -> TakenCopy:
        """Return the records of one copy."""
        ...

    def record_copy(self, push_id: str, outcome: CopyOutcome, progress: contract.CopyProgress) -> None:
        """Note how a copy ended."""
        ...

    def record_progress(self, push_id: str, progress: contract.CopyProgress) -> None:
        """Note how far a copy is."""
        ...


class Outcomes(Protocol):
    """How the copies of a push ended."""

    def copies(self, push_id: str) -> dict[str, CopyOutcome]:
        """Return the outcomes by digest; a copy that has not ended has none."""
        ...


class Intents(Protocol):
    """The changes that a push made, or was about to make, by tag."""

    def record_intent(self, push_id: str, reference: str, intent: TagIntent) -> None:
        """Note an intent before the write."""
        ...

    def intent(self, push_id: str, reference: str) -> TagIntent | None:
        """Return the last intent at a tag."""
        ...

    def intents(self, push_id: str) -> dict[str, TagIntent]:
        """Return the last intent at each tag."""
        ...


class Releases(Protocol):
    """The direction of each release of a push: of all its tags, or of those of an item."""

    def note_release(self, push_id: str, name: str, direction: str) -> None:
        """Note the direction before the next step."""
        ...

    def release(self, push_id: str, name: str) -> str | None:
        """Return the direction that was noted last, None before the first tag moves."""
        ...


class Tags(Protocol):
    """The reports of the tags that were dealt with."""

    def record_tag(self, push_id: str, key: str, tag: contract.TagReport) -> None:
        """Note the report of a tag under `key`."""
        ...

    def tags(self, push_id: str) -> dict[str, contract.TagReport]:
        """Return the reports by key."""
        ...

    def earlier_tags(self, push_id: str) -> dict[str, EarlierTag]:
        """Return the tags that earlier runs of the push moved, by reference."""
        ...


class Reports(Protocol):
    """The reports of pushes that ended."""

    def finish(self, report: contract.PushReport) -> contract.PushReport:
        """Keep the report of a push: it ended."""
        ...

    def report(self, push_id: str) -> contract.PushReport | None:
        """Return the report of a push, None where it has not ended."""
        ...


class Undos(Protocol):
    """Pushes that are being taken back."""

    def mark_undone(self, push_id: str, state: UndoState) -> None:
        """Note that the push is being taken back, or how that ended: no further tag of it moves."""
        ...

    def undo_state(self, push_id: str) -> UndoState | None:
        """Return how far taking the push back is, None where nobody began it."""
        ...

    def is_undone(self, push_id: str) -> bool:
        """Tell whether taking the push back was begun, however that ended."""
        ...


class Cancellation(Protocol):
    """Whether somebody cancelled a push."""

    def is_cancelled(self, push_id: str) -> bool:
        """Tell whether the push is to stop: its copies end, and no further tag of it moves."""
        ...


class Overview(Cancellation, Protocol):
    """All pushes, for people."""

    def mark_cancelled(self, push_id: str) -> None:
        """Note that the push is to stop."""
        ...

    def refusal(self, push_id: str) -> contract.Fault | None:
        """Return why a push was refused, None if it was not."""
        ...

    def progress(self, push_id: str) -> contract.Progress:
        """Return how far a push is; raises PushUnknown."""
        ...

    def pushes(self) -> list[contract.Progress]:
        """Return the pushes that are remembered, the newest first."""
        ...


class Pages(Protocol):
    """The pushes that are remembered, for who shows a few of many: each method asks for all its ids at once."""

    def push_ids(self) -> list[str]:
        """Return the ids, those that were sent last first."""
        ...

    def ended_states(self, push_ids: Sequence[str]) -> list[contract.ProgressState | None]:
        """Return the state in which each push ended, None for one that has not ended or is not known."""
        ...

    def requests(self, push_ids: Sequence[str]) -> list[dict[str, Any] | None]:
        """Return the request of each push, None for one that is not known."""
        ...


class Interventions(Protocol):
    """What people did to pushes."""

    def note_intervention(self, push_id: str, intervention: Intervention) -> None:
        """Note what somebody began to do, or how that ended; one is told from the next by its `at`."""
        ...

    def interventions(self, push_id: str) -> list[Intervention]:
        """Return what was done to a push, the oldest first."""
        ...


class Listing(Protocol):
    """Whether a push is among the open ones."""

    def is_open(self, push_id: str) -> bool:
        """Tell whether the result of a push has not been stored, as far as is known."""
        ...

    def list_again(self, push_id: str) -> None:
        """Have a push be among the open ones."""
        ...


class OpenPushes(Listing, Protocol):
    """The pushes whose result has not been stored."""

    def open_pushes(self) -> list[OpenPush]:
        """Return them all."""
        ...

    def open_ages(self) -> list[float]:
        """Return the seconds since each was accepted."""
        ...

    def overlooked(self) -> list[OpenPush]:
        """Return the pushes that have not ended and are not among the open ones, as it should never be.

        Those whose record has expired are forgotten.
        """
        ...

    def note_drive(self, push: OpenPush) -> None:
        """Count that the watchdog drives a push on."""
        ...

    def close(self, push_id: str) -> None:
        """Note that the result of a push has been stored."""
        ...


class TagHolds(TagFacts, Protocol):
    """Tags that operators froze, by their full name; holds do not expire."""

    def hold(self, reference: str, why: str) -> contract.Hold:
        """Freeze a tag, or give another reason for that."""
        ...

    def release_hold(self, reference: str) -> contract.Hold | None:
        """Let a tag move again; return the hold that was there."""
        ...

    def holds(self) -> list[contract.Hold]:
        """Return all holds, the oldest first."""
        ...


class Moves(TagFacts, Protocol):
    """The moves of each tag by pushes; they are kept at least as long as the pushes."""

    def note_move(self, reference: str, move: contract.Move) -> None:
        """Note a move; a repeat changes nothing."""
        ...

    def note_undone(self, reference: str, push_id: str) -> None:
        """Note that the moves of a tag by a push were taken back."""
        ...

    def history(self, reference: str) -> contract.History:
        """Return the moves of a tag."""
        ...


class Claims(Requests, Producers, Listing, Protocol):
    """Which ids are those of pushes, and whose pushes they are."""


class PushLedger(Warned, Acceptance, Producers, Plans, Starts, Reports, Undos, Cancellation, TagFacts, Protocol):
    """All that planning a push needs of the ledger."""


class CopyLedger(Warned, Starts, Copies, Cancellation, Protocol):
    """All that carrying a copy out needs of the ledger."""


class PublishLedger(
    Warned, Plans, Starts, Outcomes, Intents, Releases, Tags, Reports, Undos, Cancellation, Moves, Protocol
):
    """All that publishing the tags of a push needs of the ledger."""


class RememberedLedger(Requests, Reports, Undos, Cancellation, Protocol):
    """All that telling what became of a push needs of the ledger."""


class ClientLedger(Enqueued, Acceptance, Reports, Undos, Overview, Listing, TagHolds, Moves, Protocol):
    """All that a client needs of the ledger."""


class PageLedger(Requests, Plans, Intents, Tags, Reports, Undos, Overview, Moves, Pages, Interventions, Protocol):
    """All that the page of pushes needs of the ledger."""


class WatchdogLedger(Requests, Plans, Outcomes, Reports, OpenPushes, Pulse, Protocol):
    """All that the watchdog needs of the ledger."""


class Ledger(PushLedger, CopyLedger, PublishLedger, ClientLedger, PageLedger, WatchdogLedger, Waits, Protocol):
    """The truth about each push: its request, its plan, its outcomes, its report."""
