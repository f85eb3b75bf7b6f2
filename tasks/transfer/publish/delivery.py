"""One delivery of the publish task of one push: all of its tags, alone or together (BEHAVIOUR section 6, 10.1)."""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from functools import partial
from typing import TYPE_CHECKING, Final

from tasks import contract, telemetry
from tasks.errors import ImagePusherError, PushCancelled, PushCancelledByUser, PushUnknown, longest_wait
from tasks.transfer.plan.plan import Plan, PlannedTag, ResolvedItem
from tasks.transfer.plan.selected_referrers import Along
from tasks.transfer.ports import MayRetry
from tasks.transfer.publish.parts import Publishing
from tasks.transfer.publish.report import obstacle, right_already, tag_key, unmoved, withheld_items
from tasks.transfer.publish.tag_reports import TagReports

if TYPE_CHECKING:
    from tasks.transfer.publish.moved import Moved
    from tasks.transfer.publish.moves import Moves
    from tasks.transfer.publish.releases import Releases

LOG: Final = logging.getLogger(__name__)


class Delivery:
    """One delivery of the publish task of one push."""

    def __init__(self, parts: Publishing, plan: Plan, may_retry: MayRetry) -> None:
        self._parts = parts
        self._plan = plan
        self._may_retry = may_retry
        ledger = parts.ledger
        self._copies = ledger.copies(plan.push_id)
        self._withheld = withheld_items(plan, self._copies)
        done = ledger.tags(plan.push_id)
        self._earlier = ledger.earlier_tags(plan.push_id)
        self._noted = ledger.intents(plan.push_id)
        self._at_once = threading.BoundedSemaphore(plan.jobs)
        self._guard = threading.Lock()
        self._made: Moves | None = None
        self._reports = TagReports(parts, plan, done, self._moves, may_retry)

    def run(self) -> tuple[dict[str, contract.TagReport], list[contract.Totals]]:
        """Deal with every remaining tag; return the reports by key, and the totals of repeated copies.

        Raises an error if the push is to be given back, or published again.
        """
        if self._plan.atomic is not None:
            self._releases().run()
        work = self._work()
        if any(self._may_change(number, tag) for group in work for number, tag in group):
            # What they lack is an error of the push, not of a tag.
            self._moves()
        later = longest_wait(self._each_tag(work))
        if later is not None:
            raise later
        return self._reports.done, [self._made.recopied.totals()] if self._made is not None else []

    def put_back(self, error: ImagePusherError) -> dict[str, contract.TagReport]:
        """Put back the releases that have begun and do not stand, and return the reports of the tags that are done.

        `error` is the reason why the push does not continue with them.
        """
        self._releases().put_back(error)
        return self._reports.done

    def _moves(self) -> "Moves":
        # A push that changes nothing moves nothing.
        from tasks.transfer.publish.moves import Moves  # noqa: PLC0415

        with self._guard:
            if self._made is None:
                self._made = Moves(self._parts, self._plan, self._noted, self._may_retry)
            return self._made

    def _releases(self) -> "Releases":
        # Most pushes are no release.
        from tasks.transfer.publish.releases import Releases  # noqa: PLC0415

        return Releases(self._parts, self._plan, self._withheld, self._moves(), self._reports, self._may_retry)

    def left(self, tag: PlannedTag, error: ImagePusherError) -> contract.TagReport:
        """Return the report of a tag that is left as it is because of an error."""
        return self._reports.left(tag, error)

    def _work(self) -> list[list[tuple[int, PlannedTag]]]:
        """Return the tags to deal with, each with the number of its item; tags of one reference stay in order."""
        by_reference: dict[str, list[tuple[int, PlannedTag]]] = {}
        for number, item in enumerate(self._plan.items):
            for tag in item.tags:
                if tag_key(number, tag) not in self._reports.done:
                    by_reference.setdefault(str(tag.reference), []).append((number, tag))
        return list(by_reference.values())

    def _each_tag(self, work: Sequence[Sequence[tuple[int, PlannedTag]]]) -> list[ImagePusherError]:
        """Deal with the tags in parallel; return the errors that make the push be published again."""
        references = [str(group[0][1].reference) for group in work]
        lost = self._parts.ledger.lost(self._plan.push_id, references)
        futures = [
            self._parts.executor.submit(self._group, group, number) for group, number in zip(work, lost, strict=True)
        ]
        # No work of this delivery may go on when the next delivery begins.
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            future.cancel()
        wait(futures)
        return [error for future in futures if not future.cancelled() for error in future.result()]

    def _group(self, group: Iterable[tuple[int, PlannedTag]], lost: int) -> list[ImagePusherError]:
        """Deal with the tags of one reference, one after the other, until a tag needs another try."""
        for number, tag in group:
            with telemetry.context(reference=str(tag.reference)):
                try:
                    report = self._deal_with(number, tag, lost)
                except ImagePusherError as error:
                    if error.gives_back:
                        raise
                    return [error]
                self._reports.record(number, tag, report)
        return []

    def _deal_with(self, number: int, tag: PlannedTag, lost: int) -> contract.TagReport:
        """Move a tag and return its report; raises an error if the push is to be given back, or published again."""
        if self._parts.cancelled.is_set():
            raise PushCancelled("The worker is shutting down.")
        if tag.action != "unchanged" and self._parts.ledger.is_cancelled(self._plan.push_id):
            told = f"The push was cancelled before {tag.reference} was moved."
            told += f" `imagepusher retry {self._plan.push_id}` completes it."
            return unmoved(tag, PushCancelledByUser(told))
        item = self._plan.items[number]
        error = obstacle(item, tag, self._copies)
        if error is not None or not isinstance(item, ResolvedItem):
            return unmoved(tag, error or PushUnknown(f"The source of {tag.reference} is unknown."))
        if tag.action == "unchanged" and not self._is_untold(tag):
            return self._right_already(number, item, tag, lost)
        withheld = self._withheld[number]
        if withheld is not None:
            return unmoved(tag, withheld, "skipped")
        return self._move(number, item, tag, lost)

    def _right_already(self, number: int, item: ResolvedItem, tag: PlannedTag, lost: int) -> contract.TagReport:
        """Bring new referrers of a tag that stays, and return its report (BEHAVIOUR 9.2)."""
        report = right_already(tag, self._earlier.get(str(tag.reference)))
        if not item.referrers and item.referrers_error is None:
            return report
        if self._withheld[number] is not None or self._parts.ledger.is_cancelled(self._plan.push_id):
            return report
        return self._attempted(tag, lost, lambda: self._along(item, tag).told(report))

    def _along(self, item: ResolvedItem, tag: PlannedTag) -> Along:
        moves = self._moves()
        return moves.referrers.bring(
            item, tag.reference, moves.repository(tag), tag.new_digest or "", self._parts.locks
        )

    def _attempted(
        self,
        tag: PlannedTag,
        lost: int,
        act: Callable[[], contract.TagReport],
        clean: Callable[[], str | None] = lambda: None,
    ) -> contract.TagReport:
        """Return the report of a tag, even of a failed one; raises an error that is worth another try."""
        push_id, reference = self._plan.push_id, str(tag.reference)
        try:
            with self._at_once, self._parts.attempts.attempt(push_id, reference, lost, f"Moving {reference}"):
                return act()
        except ImagePusherError as error:
            if self._may_retry(error):
                raise
            return unmoved(tag, error, protective_tag=clean())
        except Exception as error:
            LOG.exception("Push %s: moving %s broke", push_id, reference)
            broken = f"Moving {reference} broke ({type(error).__name__}): see the worker's log."
            return unmoved(tag, ImagePusherError(broken))

    def _may_change(self, number: int, tag: PlannedTag) -> bool:
        """Tell whether a tag or its referrers may have to be written."""
        item = self._plan.items[number]
        brings = isinstance(item, ResolvedItem) and (bool(item.referrers) or item.referrers_error is not None)
        return brings or tag.action != "unchanged" or self._is_untold(tag)

    def _is_untold(self, tag: PlannedTag) -> bool:
        """Tell whether a run of this push moved the tag but did not report it (BEHAVIOUR 7.7)."""
        reference = str(tag.reference)
        intent = self._noted.get(reference)
        return intent is not None and intent.new_digest == tag.new_digest and reference not in self._earlier

    def _move(self, number: int, item: ResolvedItem, tag: PlannedTag, lost: int) -> contract.TagReport:
        # As above.
        from tasks.transfer.publish.single_tag import move_single_tag  # noqa: PLC0415

        move = self._moves().move(number, tag)
        moved: list[Moved] = []

        def run() -> contract.TagReport:
            moved.append(move_single_tag(move, self._parts.locks))
            return self._reports.receipted(item, tag, moved[0])

        report = self._attempted(tag, lost, run, partial(move.work.clean, self._parts.locks))
        return self._reports.told(item, tag, moved[0], report) if moved else report
