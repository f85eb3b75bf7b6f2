"""The reports of the tags of a push: receipts are attached, consumers are told, then a tag counts as done."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tasks import contract, telemetry
from tasks.errors import ImagePusherError
from tasks.transfer.plan.plan import Plan, PlannedTag, ResolvedItem
from tasks.transfer.ports import MayRetry
from tasks.transfer.publish.parts import Publishing
from tasks.transfer.publish.report import tag_key, unmoved

if TYPE_CHECKING:
    from tasks.transfer.publish.moved import Moved
    from tasks.transfer.publish.moves import Moves
    from tasks.transfer.publish.receipts import ReceiptWriter

LOG: Final = logging.getLogger(__name__)


class TagReports:
    """The reports of the tags of one push; `done` are those of the tags that are done, by key.

    `moves` returns the moves of the push, and makes them at its first call.
    """

    def __init__(
        self,
        parts: Publishing,
        plan: Plan,
        done: dict[str, contract.TagReport],
        moves: "Callable[[], Moves]",
        may_retry: MayRetry,
    ) -> None:
        self.done = done
        self._parts = parts
        self._plan = plan
        self._moves = moves
        self._receipts = self._receipt_writer(may_retry)

    def _receipt_writer(self, may_retry: MayRetry) -> "ReceiptWriter | None":
        if self._parts.receipt_key is None:
            return None
        # Few pushes write receipts.
        from tasks.transfer.publish.receipts import ReceiptWriter  # noqa: PLC0415

        return ReceiptWriter(
            push_id=self._plan.push_id,
            key=self._parts.receipt_key,
            ledger=self._parts.ledger,
            locks=self._parts.locks,
            referrers=self._moves().referrers,
            may_retry=may_retry,
            clock=self._parts.clock,
        )

    def receipted(self, item: ResolvedItem, tag: PlannedTag, moved: "Moved") -> contract.TagReport:
        """Attach the receipt of a tag, if it is to have one, and return its report."""
        report = moved.report(str(tag.reference))
        if self._receipts is None:
            return report
        return self._receipts.receipted(item, self._moves().repository(tag), report, moved.held)

    def told(
        self, item: ResolvedItem, tag: PlannedTag, moved: "Moved", report: contract.TagReport
    ) -> contract.TagReport:
        """Announce a tag that moved to consumers, and return its report.

        The announcement comes before the tag counts as done: a repeat announces it again rather than never.
        """
        self._moves().recopied.add(manifests_copied=moved.manifests)
        telemetry.count(telemetry.MANIFESTS, moved.manifests)
        moved_a_tag = report.action in {"copied", "merged"} and tag.reference.digest is None
        if moved_a_tag and self._parts.announcer.listens:
            # Few pushes have a listener.
            from tasks.transfer.publish.event import moved_tag  # noqa: PLC0415

            self._parts.announcer.tag_moved(moved_tag(self._plan.push_id, item, tag, report, moved.held))
        return report

    def left(self, tag: PlannedTag, error: ImagePusherError) -> contract.TagReport:
        """Return the report of a tag that is left as it is, with a protective tag that may have been made for it."""
        intent = self._parts.ledger.intent(self._plan.push_id, str(tag.reference))
        made = [] if intent is None or intent.settled else list(reversed(intent.beside()))
        return unmoved(tag, error, protective_tag=next(iter(made), None))

    def record(self, number: int, tag: PlannedTag, report: contract.TagReport) -> None:
        """Record the report of a tag, and its move; the tag is done by that."""
        key = tag_key(number, tag)
        if report.action in {"copied", "merged"} and tag.reference.digest is None:
            # Before the tag counts as done: a repeat notes the move again rather than never.
            self._parts.ledger.note_move(report.reference, self._move(number, report))
        # A delivery that stood still may come here after another one, which knows better what the push did.
        self.done[key] = report = self._parts.ledger.record_tag(self._plan.push_id, key, report)
        telemetry.count(telemetry.TAGS, action=report.action)
        if report.error is not None:
            LOG.warning("%s %s (%s): %s", report.reference, report.action, report.error.code, report.error.message)
        else:
            LOG.info("%s %s: %s → %s", report.reference, report.action, report.old_digest or "new", report.new_digest)

    def _move(self, number: int, report: contract.TagReport) -> contract.Move:
        item = self._plan.items[number]
        return contract.Move(
            at=self._parts.clock(),
            push_id=self._plan.push_id,
            action="merged" if report.action == "merged" else "copied",
            source=str(item.wanted.source),
            source_digest=item.digest if isinstance(item, ResolvedItem) else None,
            old_digest=report.old_digest,
            new_digest=str(report.new_digest),
        )
