"""One delivery of the publish task of one push: all of its tags, alone or together (BEHAVIOUR section 6, 10.1)."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, wait
from dataclasses import dataclass
from functools import partial
from typing import Final

from tasks import contract, telemetry
from tasks.errors import (
    ImagePusherError,
    PushAbandoned,
    PushCancelled,
    PushCancelledByUser,
    PushUnknown,
    Retry,
    longest_wait,
)
from tasks.oci.details import with_details
from tasks.oci.document import parse_document
from tasks.oci.merge import MergeRules
from tasks.oci.reference import Reference
from tasks.oci.signing import SigningKey
from tasks.registry.repository import Registries, Repository
from tasks.transfer.after.sharing import Sharing
from tasks.transfer.after.undo import undo
from tasks.transfer.attempts import Attempts
from tasks.transfer.copy.copier import Copier
from tasks.transfer.copy.totals import Counter
from tasks.transfer.plan.along import Along, MadeList
from tasks.transfer.plan.decide import MergePolicy
from tasks.transfer.plan.gate import Gate
from tasks.transfer.plan.image import SourceImage, take_platforms
from tasks.transfer.plan.plan import Copy, Plan, PlannedTag, ResolvedItem
from tasks.transfer.ports import Announcer, CopyOutcome, MayRetry, PublishLedger, TagIntent, TagLocks
from tasks.transfer.publish.event import moved_tag
from tasks.transfer.publish.journal import has_begun
from tasks.transfer.publish.member import Member
from tasks.transfer.publish.receipts import ReceiptWriter
from tasks.transfer.publish.records import LedgerIntents, LedgerJournal
from tasks.transfer.publish.referrers import ReferrerPublisher
from tasks.transfer.publish.release import Ended, Release
from tasks.transfer.publish.report import obstacle, right_already, tag_key, unmoved, withheld_items
from tasks.transfer.publish.sightings import Sightings
from tasks.transfer.publish.stage import Wish
from tasks.transfer.publish.tag import Moved, TagMove

LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Publishing:
    """The parts of a process that move tags; `executor` is for work on many tags.

    With a `receipt_key`, each tag that moves gets a receipt.
    """

    registries: Registries
    ledger: PublishLedger
    locks: TagLocks
    copier: Copier
    announcer: Announcer
    executor: Executor
    cancelled: threading.Event
    attempts: Attempts
    receipt_key: SigningKey | None = None
    clock: Callable[[], float] = time.time


class Delivery:
    """One delivery of the publish task of one push."""

    def __init__(self, parts: Publishing, plan: Plan, may_retry: MayRetry) -> None:
        self._parts = parts
        self._plan = plan
        self._may_retry = may_retry
        ledger = parts.ledger
        self._copies = ledger.copies(plan.push_id)
        self._withheld = withheld_items(plan, self._copies)
        self._done = ledger.tags(plan.push_id)
        self._earlier = ledger.earlier_tags(plan.push_id)
        self._noted = ledger.intents(plan.push_id)
        self._at_once = threading.BoundedSemaphore(plan.jobs)
        self._seen = Sightings()
        self._recopied = Counter()
        self._referrers = ReferrerPublisher(
            self._recopy, self._seen, partial(ledger.content, plan.push_id), may_retry, _made_lists(self._noted)
        )
        self._receipts = self._receipt_writer()
        self._wishes = {
            number: self._wish(item) for number, item in enumerate(plan.items) if isinstance(item, ResolvedItem)
        }

    def _receipt_writer(self) -> ReceiptWriter | None:
        if self._parts.receipt_key is None:
            return None
        return ReceiptWriter(
            push_id=self._plan.push_id,
            key=self._parts.receipt_key,
            ledger=self._parts.ledger,
            locks=self._parts.locks,
            referrers=self._referrers,
            may_retry=self._may_retry,
            clock=self._parts.clock,
        )

    def run(self) -> tuple[dict[str, contract.TagReport], list[contract.Totals]]:
        """Deal with every remaining tag; return the reports by key, and the totals of repeated copies.

        Raises an error if the push is to be given back, or published again.
        """
        if self._plan.atomic is not None:
            for name, numbers in self._releases():
                self._release(name, numbers)
        later = longest_wait(self._each_tag(self._work()))
        if later is not None:
            raise later
        return self._done, [self._recopied.totals()]

    def _releases(self) -> list[tuple[str, list[int]]]:
        """Return the releases of the push, each with its name and the numbers of its items.

        A release with a withheld item is left out: its tags stay.
        """
        numbers = [number for number, withheld in enumerate(self._withheld) if withheld is None]
        if self._plan.atomic == "item":
            return [(f"item {number}", [number]) for number in numbers]
        return [("push", numbers)] if numbers else []

    def put_back(self, error: ImagePusherError) -> dict[str, contract.TagReport]:
        """Put back the releases that have begun and do not stand, and return the reports of the tags that are done.

        `error` is the reason why the push does not continue with them.
        """
        for name, numbers in self._releases():
            if self._may_have_begun(name, numbers):
                self._release(name, numbers, error)
        return self._done

    def _may_have_begun(self, name: str, numbers: Sequence[int]) -> bool:
        """Tell whether a release has begun to move its tags, or may have made protective tags for that."""
        if has_begun(LedgerJournal(self._parts.ledger, self._plan.push_id, name).read()):
            return True
        references = (str(tag.reference) for number in numbers for tag in self._plan.items[number].tags)
        noted = (self._noted.get(reference) for reference in references)
        return any(intent is not None and not intent.settled and intent.beside() for intent in noted)

    def _release(self, name: str, numbers: Sequence[int], given_up: ImagePusherError | None = None) -> None:
        """Move the tags of some items together, or none of them, and record their reports (BEHAVIOUR 10.1)."""
        parts, push_id = self._parts, self._plan.push_id
        # A tag that holds a newer image takes no part.
        pairs = [(number, tag) for number in numbers for tag in self._plan.items[number].tags if tag.error is None]
        open_pairs = [(number, tag) for number, tag in pairs if tag_key(number, tag) not in self._done]
        journal = LedgerJournal(parts.ledger, push_id, name)
        if not open_pairs and not self._is_unforgotten(journal, pairs):
            return
        if parts.cancelled.is_set():
            raise PushCancelled("The worker is shutting down.")
        if given_up is None and not has_begun(journal.read()) and parts.ledger.is_cancelled(push_id):
            if not self._may_have_begun(name, numbers):
                # All of its tags stay as they are.
                return
            given_up = PushCancelledByUser(f"The push was cancelled before the tags of the {name} were moved.")
        # Tags whose reports were recorded take part too: their state is read from the tags themselves.
        follows = self._moved_before(name, {str(tag.reference) for _, tag in pairs})
        members = [self._member(number, tag, follows=str(tag.reference) in follows) for number, tag in pairs]
        try:
            ended = self._ended(Release(members, parts.locks, journal, self._put_back, parts.executor), name, given_up)
        except PushAbandoned as error:
            error.message += " Whether its tags were moved cannot be told."
            ended = Ended(reports={tag_key(number, tag): self.left(tag, error) for number, tag in open_pairs})
        reports = {
            tag_key(number, tag): self._receipted(self._resolved(number), tag, moved)
            for number, tag in open_pairs
            if (moved := ended.moved.get(tag_key(number, tag))) is not None
        }
        for number, tag in open_pairs:
            key = tag_key(number, tag)
            moved = ended.moved.get(key)
            report = ended.reports.get(key)
            if moved is not None:
                report = self._told(self._resolved(number), tag, moved, reports[key])
            self._record(number, tag, report or unmoved(tag, PushUnknown(f"{tag.reference} took no part.")))
        ended.forget()

    def _is_unforgotten(self, journal: LedgerJournal, pairs: Sequence[tuple[int, PlannedTag]]) -> bool:
        """Tell whether a delivery that put the release back, and recorded that, was killed before it forgot it."""
        intents = (self._noted.get(str(tag.reference)) for _, tag in pairs)
        return journal.read() == "back" and any(intent is not None and intent.changes for intent in intents)

    def left(self, tag: PlannedTag, error: ImagePusherError) -> contract.TagReport:
        """Return the report of a tag that is left as it is, with a protective tag that may have been made for it."""
        intent = self._parts.ledger.intent(self._plan.push_id, str(tag.reference))
        made = [] if intent is None or intent.settled else list(reversed(intent.beside()))
        return unmoved(tag, error, protective_tag=next(iter(made), None))

    def _ended(self, release: Release, name: str, given_up: ImagePusherError | None) -> Ended:
        """Carry a release out; if that ended its workers too often, put back what they moved."""
        attempt, push_id, back = self._parts.attempts.attempt, self._plan.push_id, f"{name}, back"
        lost, lost_back = self._parts.ledger.lost(push_id, [name, back])
        if given_up is not None:
            return release.run(self._may_retry, given_up)
        try:
            with attempt(push_id, name, lost, f"Moving the tags of the {name}"):
                return release.run(self._may_retry)
        except PushAbandoned as error:
            abandoned = error
        with attempt(push_id, back, lost_back, f"Putting the tags of the {name} back"):
            return release.run(self._may_retry, abandoned)

    def _resolved(self, number: int) -> ResolvedItem:
        item = self._plan.items[number]
        if not isinstance(item, ResolvedItem):
            raise TypeError("an item that failed is withheld")
        return item

    def _moved_before(self, name: str, references: set[str]) -> set[str]:
        """Return those of a release's tags that another release of the push has begun to move (BEHAVIOUR 1.5)."""
        moved: set[str] = set()
        for other, numbers in self._releases():
            theirs = {str(tag.reference) for number in numbers for tag in self._plan.items[number].tags} & references
            journal = LedgerJournal(self._parts.ledger, self._plan.push_id, other)
            if other != name and theirs and has_begun(journal.read()):
                moved |= theirs
        return moved

    def _member(self, number: int, tag: PlannedTag, *, follows: bool) -> Member:
        move = TagMove(self._wishes[number], self._repository(tag), tag, self._intents(tag))
        accepts = self._plan.items[number].wanted.irreversible == "accept"
        return Member(tag_key(number, tag), tag, move, irreversible=accepts, follows=follows)

    def _put_back(self, intents: Mapping[str, TagIntent], locks: TagLocks) -> contract.Undo:
        kept = partial(self._parts.ledger.content, self._plan.push_id)
        ledger, push_id = self._parts.ledger, self._plan.push_id
        return undo(push_id, intents, self._parts.registries, locks, kept, sharing=Sharing(ledger, push_id))

    def _repository(self, tag: PlannedTag) -> Repository:
        return self._parts.registries.repository(*tag.reference.place, "destination", push=True)

    def _intents(self, tag: PlannedTag) -> LedgerIntents:
        return LedgerIntents(self._parts.ledger, self._plan.push_id, str(tag.reference))

    def _work(self) -> list[list[tuple[int, PlannedTag]]]:
        """Return the tags to deal with, each with the number of its item; tags of one reference stay in order."""
        by_reference: dict[str, list[tuple[int, PlannedTag]]] = {}
        for number, item in enumerate(self._plan.items):
            for tag in item.tags:
                if tag_key(number, tag) not in self._done:
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
                    if error.retry is Retry.GIVE_BACK:
                        raise
                    return [error]
                self._record(number, tag, report)
        return []

    def _deal_with(self, number: int, tag: PlannedTag, lost: int) -> contract.TagReport:
        """Move a tag and return its report; raises an error if the push is to be given back, or published again."""
        if self._parts.cancelled.is_set():
            raise PushCancelled("The worker is shutting down.")
        if tag.action != "unchanged" and self._parts.ledger.is_cancelled(self._plan.push_id):
            return unmoved(tag, PushCancelledByUser(f"The push was cancelled before {tag.reference} was moved."))
        item = self._plan.items[number]
        error = obstacle(item, tag, self._copies)
        if error is not None or not isinstance(item, ResolvedItem):
            return unmoved(tag, error or PushUnknown(f"The source of {tag.reference} is unknown."))
        if tag.action == "unchanged" and not self._is_untold(tag):
            return self._right_already(number, item, tag, lost)
        withheld = self._withheld[number]
        if withheld is not None:
            return unmoved(tag, withheld, "skipped")
        return self._move(item, self._wishes[number], tag, lost)

    def _right_already(self, number: int, item: ResolvedItem, tag: PlannedTag, lost: int) -> contract.TagReport:
        """Bring new referrers of a tag that stays, and return its report (BEHAVIOUR 9.2)."""
        report = right_already(tag, self._earlier.get(str(tag.reference)))
        if not item.referrers and item.referrers_error is None:
            return report
        if self._withheld[number] is not None or self._parts.ledger.is_cancelled(self._plan.push_id):
            return report
        return self._attempted(tag, lost, lambda: self._along(item, tag).told(report))

    def _along(self, item: ResolvedItem, tag: PlannedTag) -> Along:
        repository = self._repository(tag)
        return self._referrers.bring(item, tag.reference, repository, tag.new_digest or "", self._parts.locks)

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

    def _is_untold(self, tag: PlannedTag) -> bool:
        """Tell whether a run of this push moved the tag but did not report it (BEHAVIOUR 7.7)."""
        reference = str(tag.reference)
        intent = self._noted.get(reference)
        return intent is not None and intent.new_digest == tag.new_digest and reference not in self._earlier

    def _move(self, item: ResolvedItem, wish: Wish, tag: PlannedTag, lost: int) -> contract.TagReport:
        move = TagMove(wish, self._repository(tag), tag, self._intents(tag))
        moved: list[Moved] = []

        def run() -> contract.TagReport:
            moved.append(move.run(self._parts.locks))
            return self._receipted(item, tag, moved[0])

        report = self._attempted(tag, lost, run, partial(move.clean, self._parts.locks))
        return self._told(item, tag, moved[0], report) if moved else report

    def _receipted(self, item: ResolvedItem, tag: PlannedTag, moved: Moved) -> contract.TagReport:
        """Attach the receipt of a tag, if it is to have one, and return its report."""
        report = moved.report(str(tag.reference))
        if self._receipts is None:
            return report
        return self._receipts.receipted(item, self._repository(tag), report, moved.held)

    def _told(
        self, item: ResolvedItem, tag: PlannedTag, moved: Moved, report: contract.TagReport
    ) -> contract.TagReport:
        """Announce a tag that moved to consumers, and return its report.

        The announcement comes before the tag counts as done: a repeat announces it again rather than never.
        """
        self._recopied.add(manifests_copied=moved.manifests)
        telemetry.count(telemetry.MANIFESTS, moved.manifests)
        moved_a_tag = report.action in {"copied", "merged"} and tag.reference.digest is None
        if moved_a_tag and self._parts.announcer.listens:
            self._parts.announcer.tag_moved(moved_tag(self._plan.push_id, item, tag, report, moved.held))
        return report

    def _record(self, number: int, tag: PlannedTag, report: contract.TagReport) -> None:
        key = tag_key(number, tag)
        if report.action in {"copied", "merged"} and tag.reference.digest is None:
            # Before the tag counts as done: a repeat notes the move again rather than never.
            self._parts.ledger.note_move(report.reference, self._moved(number, report))
        # A delivery that stood still may come here after another one, which knows better what the push did.
        self._done[key] = report = self._parts.ledger.record_tag(self._plan.push_id, key, report)
        telemetry.count(telemetry.TAGS, action=report.action)
        if report.error is not None:
            LOG.warning("%s %s (%s): %s", report.reference, report.action, report.error.code, report.error.message)
        else:
            LOG.info("%s %s: %s → %s", report.reference, report.action, report.old_digest or "new", report.new_digest)

    def _moved(self, number: int, report: contract.TagReport) -> contract.Move:
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

    def _wish(self, item: ResolvedItem) -> Wish:
        rules = MergeRules(self._plan.exact_os_version)
        return Wish(
            image=self._image(item, rules),
            policy=MergePolicy(item.wanted.merge, item.wanted.single_arch, rules),
            drop_missing_children=self._plan.drop_missing_children,
            keep_replaced=self._plan.keep_replaced,
            recopy=self._recopy,
            seen=self._seen,
            bring=partial(self._referrers.bring, item),
            gate=Gate.for_item(item.wanted, item.age, rules, self._parts.ledger),
        )

    def _recopy(self, copy: Copy) -> CopyOutcome:
        outcome = self._parts.copier.copy(copy).outcome
        self._recopied.include(outcome.totals)
        return outcome

    def _image(self, item: ResolvedItem, rules: MergeRules) -> SourceImage:
        """Return the source image of the time of planning: its tag may have moved since (BEHAVIOUR 2.1)."""
        content = self._parts.ledger.content(self._plan.push_id, item.digest)
        if content is None:
            raise PushUnknown(f"The source of the push {self._plan.push_id!r} is gone from the ledger.")
        image = SourceImage(
            reference=item.wanted.source.at(item.digest),
            kind=item.kind,
            media_type=item.media_type,
            content=content,
            digest=item.digest,
            original_digest=item.digest,
            original_content=content,
            document=with_details(parse_document(content, item.media_type), item.details),
            platform=item.platform,
            details=item.details,
        )
        return take_platforms(image, item.eligible, rules)


def _made_lists(intents: Mapping[str, TagIntent]) -> list[tuple[str, MadeList]]:
    """Return the lists of referrers that earlier deliveries made, each with its repository."""
    return [(Reference.parse(name).name, each) for name, intent in intents.items() for each in intent.lists]
