"""The ledger's ports, one for each role. `tasks/coordination/ledger.py` implements all of them.

All writes may be repeated. All methods raise StateUnavailable.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from tasks import contract
from tasks.oci.digest import Digest
from tasks.transfer.plan.plan import Plan
from tasks.transfer.plan.tag_facts import TagFacts
from tasks.transfer.ports.records import (
    CopyOutcome,
    EarlierTag,
    Intervention,
    KeptReceipt,
    OpenPush,
    TagIntent,
    TakenCopy,
    UndoState,
)


class Producers(Protocol):
    """The producers who asked for pushes."""

    def note_producer(self, push_id: str, producer: str) -> None:
        """Note the producer who signed the request."""
        ...

    def producer(self, push_id: str) -> str | None:
        """Return the producer who signed the request; None for an operator, or if nobody signs."""
        ...


class Warned(Protocol):
    """The warnings in the answers of registries to a push."""

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
        """Note that one more task, not accepted yet, waits for the result of a known push."""
        ...


class Requests(Protocol):
    """The request of each push, and the task whose result is that of the push."""

    def request(self, push_id: str) -> dict[str, Any] | None:
        """Return the request of a push, None for an unknown push."""
        ...

    def task_id(self, push_id: str) -> str | None:
        """Return the task whose result is that of the push."""
        ...

    def updated(self, push_id: str) -> float | None:
        """Return the time of the last sign of life of a push's workers, in seconds since the epoch."""
        ...


class Acceptance(Requests, Protocol):
    """Pushes that workers take on."""

    def refuse(self, push_id: str, refusal: contract.Fault) -> None:
        """Note the fault of a refused push and forget its request, unless a push of that id was accepted before."""
        ...

    def accept(self, push_id: str, request: dict[str, Any], task_id: str) -> None:
        """Note that a worker accepted the push; the rest of its record stays. Its result is that of `task_id`."""
        ...

    def reopen(self, push_id: str) -> None:
        """Forget the report, the plan and the outcomes of a push that is to be planned anew.

        Intents stay, and so do releases that have begun and not ended. The tags that moved are remembered as those of
        an earlier run (BEHAVIOUR 7.7).
        """
        ...


class Plans(Protocol):
    """Plans, and the manifests that planning and publishing read."""

    def save_plan(self, plan: Plan) -> Plan:
        """Keep the plan of a push, and return the plan there: the first one stays (BEHAVIOUR 7.3)."""
        ...

    def plan(self, push_id: str) -> Plan | None:
        """Return the plan of a push, None if there is none yet, or no longer."""
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
        """Return the bytes of a manifest, None if they are not kept."""
        ...


class Starts(Protocol):
    """The lost starts of each part of a push: a digest, a tag, or a task's name."""

    def lost(self, push_id: str, parts: Sequence[str]) -> list[int]:
        """Return the number of unsettled starts of each part."""
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
    """The copies of a push, for the workers that carry them out."""

    def take_copy(self, push_id: str, digest: str) -> TakenCopy:
        """Return the records of one copy."""
        ...

    def record_copy(self, push_id: str, outcome: CopyOutcome, progress: contract.CopyProgress) -> None:
        """Note how a copy ended."""
        ...

    def record_progress(self, push_id: str, progress: contract.CopyProgress) -> None:
        """Note the progress of a copy."""
        ...


class Outcomes(Protocol):
    """The outcomes of the copies of a push."""

    def copies(self, push_id: str) -> dict[str, CopyOutcome]:
        """Return the outcomes by digest; a copy that has not ended has none."""
        ...


class Intents(Protocol):
    """The changes that a push made, or was about to make, by tag."""

    def record_intent(self, push_id: str, reference: str, intent: TagIntent) -> TagIntent | None:
        """Note an intent before the write, and return the one that was noted before."""
        ...

    def intent(self, push_id: str, reference: str) -> TagIntent | None:
        """Return the last intent at a tag."""
        ...

    def intents(self, push_id: str) -> dict[str, TagIntent]:
        """Return the last intent at each tag."""
        ...


class Releases(Protocol):
    """The direction of each release of a push: of all its tags, or of those of an item; and why one goes back."""

    def note_release(self, push_id: str, name: str, direction: str) -> str | None:
        """Note the direction before the next step, or, under a name of its own, the reason; return what was noted."""
        ...

    def release(self, push_id: str, name: str) -> str | None:
        """Return the direction that was noted last, None before the first tag moves."""
        ...

    def note_release_at(self, reference: str, push_id: str, name: str) -> None:
        """Note the release that moves a tag."""
        ...


class Protections(Protocol):
    """The pushes that need each protective tag: two pushes that merge the same images share one (BEHAVIOUR 4.8)."""

    def note_need(self, reference: str, push_id: str) -> None:
        """Note that a push needs a protective tag."""
        ...

    def drop_need(self, reference: str, push_id: str) -> None:
        """Note that a push needs a protective tag no longer."""
        ...

    def needs(self, reference: str) -> set[str]:
        """Return the pushes that need a protective tag."""
        ...


class Tags(Protocol):
    """The reports of the tags that are done."""

    def record_tag(self, push_id: str, key: str, tag: contract.TagReport) -> contract.TagReport:
        """Note the report of a tag under `key`, and return the report there: the first that was noted stays."""
        ...

    def tags(self, push_id: str) -> dict[str, contract.TagReport]:
        """Return the reports by key."""
        ...

    def earlier_tags(self, push_id: str) -> dict[str, EarlierTag]:
        """Return the tags that earlier runs of the push moved, by reference."""
        ...


class Receipts(Protocol):
    """The receipts of the tags that moved."""

    def keep_receipt(self, push_id: str, receipt: KeptReceipt) -> None:
        """Keep a receipt, for as long as the push is remembered."""
        ...

    def receipt(self, push_id: str, name: str) -> KeptReceipt | None:
        """Return the receipt of that name, None if there is none."""
        ...

    def receipts(self, push_id: str) -> list[KeptReceipt]:
        """Return all receipts of a push."""
        ...


class Reports(Protocol):
    """The reports of pushes that ended."""

    def finish(self, report: contract.PushReport) -> contract.PushReport:
        """Keep the report of a push, which ends the push, and return the report there: the first one stays.

        A delivery that stood still may end after another one (BEHAVIOUR 7.3).
        """
        ...

    def report(self, push_id: str) -> contract.PushReport | None:
        """Return the report of a push, None if the push has not ended."""
        ...


class Undos(Protocol):
    """Pushes that are being undone."""

    def mark_undone(self, push_id: str, state: UndoState) -> None:
        """Note that the undo of a push began, or how it ended: no further tag of the push moves."""
        ...

    def undo_state(self, push_id: str) -> UndoState | None:
        """Return the state of the undo of a push, None if no undo began."""
        ...

    def is_undone(self, push_id: str) -> bool:
        """Tell whether an undo of the push began, however it ended."""
        ...


class Cancellation(Protocol):
    """Cancelled pushes."""

    def is_cancelled(self, push_id: str) -> bool:
        """Tell whether the push is to stop: its copies end, and no further tag of it moves."""
        ...


class Overview(Cancellation, Protocol):
    """All pushes, for people."""

    def mark_cancelled(self, push_id: str) -> None:
        """Note that the push is to stop."""
        ...

    def refusal(self, push_id: str) -> contract.Fault | None:
        """Return the fault of a refused push, None if it was not refused."""
        ...

    def progress(self, push_id: str) -> contract.Progress:
        """Return the progress of a push; raises PushUnknown."""
        ...

    def pushes(self) -> list[contract.Progress]:
        """Return the pushes that are remembered, the newest first."""
        ...


class Pages(Protocol):
    """The remembered pushes, page by page: each method reads all its ids at once."""

    def push_ids(self) -> list[str]:
        """Return the ids, the last sent first."""
        ...

    def ended_states(self, push_ids: Sequence[str]) -> list[contract.ProgressState | None]:
        """Return the final state of each push, None for a push that has not ended or is unknown."""
        ...

    def requests(self, push_ids: Sequence[str]) -> list[dict[str, Any] | None]:
        """Return the request of each push, None for an unknown push."""
        ...


class Interventions(Protocol):
    """The interventions of people in pushes and tags."""

    def note_intervention(self, push_id: str, intervention: Intervention) -> None:
        """Note the start or the outcome of an intervention; `at` identifies the intervention."""
        ...

    def interventions(self, push_id: str) -> list[Intervention]:
        """Return the interventions in a push, the oldest first."""
        ...

    def note_tag_intervention(self, reference: str, intervention: Intervention) -> None:
        """Note an intervention in a tag; it is kept as long as the tag's moves."""
        ...

    def tag_interventions(self, reference: str) -> list[Intervention]:
        """Return the interventions in a tag, the oldest first."""
        ...


class Listing(Protocol):
    """Membership in the open pushes."""

    def is_open(self, push_id: str) -> bool:
        """Tell whether the result of a push is not stored yet, as far as is known."""
        ...

    def list_again(self, push_id: str) -> None:
        """Add a push to the open pushes again."""
        ...


class OpenPushes(Listing, Protocol):
    """The open pushes: those whose result has not been stored."""

    def open_pushes(self) -> list[OpenPush]:
        """Return all open pushes."""
        ...

    def open_ages(self) -> list[float]:
        """Return for each open push the seconds since it was accepted."""
        ...

    def overlooked(self) -> list[OpenPush]:
        """Return the pushes that have not ended but are missing from the open pushes, which should never happen.

        Pushes whose record has expired are forgotten.
        """
        ...

    def note_drive(self, push: OpenPush) -> None:
        """Count one drive of a push by the watchdog."""
        ...

    def close(self, push: OpenPush) -> None:
        """Note that the result of a push has been stored for its tasks; it stays open if another task came since."""
        ...


class TagHolds(TagFacts, Protocol):
    """Tags that operators froze, by their full name; holds do not expire."""

    def hold(self, reference: str, why: str, by: str | None = None) -> contract.Hold:
        """Freeze a tag for a user, or change the reason of its hold."""
        ...

    def release_hold(self, reference: str) -> contract.Hold | None:
        """Let a tag move again; return its hold, None if there was none."""
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
    """The ids of pushes, and the producers of the pushes."""


class PushLedger(Warned, Acceptance, Producers, Plans, Starts, Reports, Undos, Cancellation, TagFacts, Protocol):
    """The part of the ledger that planning needs."""


class CopyLedger(Warned, Starts, Copies, Cancellation, Protocol):
    """The part of the ledger that a copy needs."""


class PublishLedger(
    Warned,
    Producers,
    Plans,
    Starts,
    Outcomes,
    Intents,
    Releases,
    Protections,
    Tags,
    Receipts,
    Reports,
    Undos,
    Cancellation,
    Moves,
    Protocol,
):
    """The part of the ledger that publishing needs."""


class RememberedLedger(Requests, Producers, Reports, Undos, Cancellation, Protocol):
    """The part of the ledger that shows the state of a push."""


class ClientLedger(Enqueued, Acceptance, Producers, Reports, Undos, Overview, Listing, TagHolds, Moves, Protocol):
    """The part of the ledger that a client needs."""


class PageLedger(
    Requests,
    Producers,
    Plans,
    Intents,
    Tags,
    Reports,
    Undos,
    Overview,
    TagHolds,
    Moves,
    Pages,
    Interventions,
    Protocol,
):
    """The part of the ledger that the page of pushes needs."""


class WatchdogLedger(Requests, Plans, Outcomes, Reports, OpenPushes, Pulse, Protocol):
    """The part of the ledger that the watchdog needs."""


class Ledger(PushLedger, CopyLedger, PublishLedger, ClientLedger, PageLedger, WatchdogLedger, Waits, Protocol):
    """The authoritative record of each push: its request, its plan, its outcomes, its report."""
