"""The publish step: move every tag of a push and write its report (BEHAVIOUR section 6)."""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, wait
from dataclasses import dataclass
from typing import Final

from tasks import contract, telemetry
from tasks.errors import ImagePusherError, PushCancelled, PushUndone, PushUnknown, Retry, longest_wait
from tasks.oci.document import parse_document
from tasks.oci.merge import MergeRules
from tasks.registry.repository import Registries
from tasks.transfer.copy.copier import Copier
from tasks.transfer.copy.totals import Counter
from tasks.transfer.plan.decide import Current, MergePolicy
from tasks.transfer.plan.image import SourceImage, take_platforms
from tasks.transfer.plan.plan import Copy, Plan, PlannedTag, ResolvedItem
from tasks.transfer.ports import Announcer, CopyOutcome, PublishLedger, Runs, TagIntent, TagLocks
from tasks.transfer.publish.event import moved_tag
from tasks.transfer.publish.report import build_report, obstacle, right_already, tag_key, unmoved, withheld_items
from tasks.transfer.publish.sightings import Sightings
from tasks.transfer.publish.tag import Moved, TagMove, Wish
from tasks.transfer.steps.attempts import Attempts

LOG: Final = logging.getLogger(__name__)
PART: Final = "publish"


@dataclass(frozen=True, kw_only=True)
class PublishStep:
    """All that the end of a push needs; `executor` is for its tags."""

    registries: Registries
    ledger: PublishLedger
    runs: Runs
    locks: TagLocks
    copier: Copier
    announcer: Announcer
    executor: Executor
    cancelled: threading.Event
    attempts: Attempts
    clock: Callable[[], float]

    def run(self, push_id: str, *, last_try: bool) -> contract.PushReport:
        """Move the tags of a push and return its report; raises PushUnknown if its plan is gone.

        Delivered again, it returns the report that is there, and takes every tag that was dealt with as it was. Unless
        this is the `last_try`, raises the error of a registry that may serve later. Raises PushCancelled when the
        worker shuts down, StateUnavailable, LockUnavailable.
        """
        with self.runs.hold(push_id, PART):
            report = self.ledger.report(push_id)
            if report is not None:
                return report
            plan = self.ledger.plan(push_id)
            if plan is None:
                raise PushUnknown(f"The plan of the push {push_id!r} is gone from the ledger.")
            return _Delivery(self, plan, last_try=last_try).report()

    def give_up(self, plan: Plan, error: ImagePusherError) -> contract.PushReport:
        """End a push as it is: tags that have not been dealt with fail with `error`."""
        done = self.ledger.tags(plan.push_id)
        keys = [(tag_key(number, tag), tag) for number, item in enumerate(plan.items) for tag in item.tags]
        return self.finish(plan, {key: done.get(key) or unmoved(tag, error) for key, tag in keys}, [])

    def finish(
        self, plan: Plan, tags: dict[str, contract.TagReport], parts: Sequence[contract.Totals]
    ) -> contract.PushReport:
        """Keep the report of a push whose tags have all been dealt with, and return it."""
        copied = [outcome.totals for outcome in self.ledger.copies(plan.push_id).values()]
        report = build_report(plan, tags, [*copied, *parts], self.clock() - plan.created)
        self.ledger.finish(report)
        telemetry.count(telemetry.PUSHES, state=report.state)
        telemetry.observe(telemetry.PUSH_SECONDS, report.totals.seconds, state=report.state)
        return report


class _Delivery:
    """One delivery of the publish task of one push."""

    def __init__(self, step: PublishStep, plan: Plan, *, last_try: bool) -> None:
        self._step = step
        self._plan = plan
        self._last_try = last_try
        ledger = step.ledger
        self._copies = ledger.copies(plan.push_id)
        self._withheld = withheld_items(plan, self._copies)
        self._done = ledger.tags(plan.push_id)
        self._earlier = ledger.earlier_tags(plan.push_id)
        self._noted = ledger.intents(plan.push_id)
        self._at_once = threading.BoundedSemaphore(plan.jobs)
        self._seen = Sightings()
        self._recopied = Counter()
        self._wishes = {
            number: self._wish(item) for number, item in enumerate(plan.items) if isinstance(item, ResolvedItem)
        }

    def report(self) -> contract.PushReport:
        """Deal with every tag that has not been dealt with, and end the push."""
        later = longest_wait(self._each_tag(self._work()))
        if later is not None:
            raise later
        return self._step.finish(self._plan, self._done, [self._recopied.totals()])

    def _work(self) -> list[list[tuple[int, PlannedTag]]]:
        """Return the tags to deal with, each with the number of its item; those of one reference stay in order."""
        by_reference: dict[str, list[tuple[int, PlannedTag]]] = {}
        for number, item in enumerate(self._plan.items):
            for tag in item.tags:
                if tag_key(number, tag) not in self._done:
                    by_reference.setdefault(str(tag.reference), []).append((number, tag))
        return list(by_reference.values())

    def _each_tag(self, work: Sequence[Sequence[tuple[int, PlannedTag]]]) -> list[ImagePusherError]:
        """Deal with the tags in parallel; return the errors for which the push is published again."""
        references = [str(group[0][1].reference) for group in work]
        lost = self._step.ledger.lost(self._plan.push_id, references)
        futures = [
            self._step.executor.submit(self._group, group, number) for group, number in zip(work, lost, strict=True)
        ]
        # Nothing of this delivery may go on when the next one begins.
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            future.cancel()
        wait(futures)
        return [error for future in futures if not future.cancelled() for error in future.result()]

    def _group(self, group: Iterable[tuple[int, PlannedTag]], lost: int) -> list[ImagePusherError]:
        """Deal with the tags of one reference, one after the other, until one is to be tried again."""
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
        """Return the report of a tag; raises an error for which the push is given back, or published again."""
        if self._step.cancelled.is_set():
            raise PushCancelled("The worker is shutting down.")
        item = self._plan.items[number]
        error = obstacle(item, tag, self._copies)
        if error is not None or not isinstance(item, ResolvedItem):
            return unmoved(tag, error or PushUnknown(f"The source of {tag.reference} is unknown."))
        if tag.action == "unchanged" and not self._is_untold(tag):
            return right_already(tag, self._earlier.get(str(tag.reference)))
        withheld = self._withheld[number]
        if withheld is not None:
            return unmoved(tag, withheld, "skipped")
        return self._move(item, self._wishes[number], tag, lost)

    def _is_untold(self, tag: PlannedTag) -> bool:
        """Tell whether a run of this push moved the tag and did not come to report that (BEHAVIOUR 7.7)."""
        reference = str(tag.reference)
        intent = self._noted.get(reference)
        return intent is not None and intent.new_digest == tag.new_digest and reference not in self._earlier

    def _move(self, item: ResolvedItem, wish: Wish, tag: PlannedTag, lost: int) -> contract.TagReport:
        push_id, reference = self._plan.push_id, str(tag.reference)
        repository = self._step.registries.repository(*tag.reference.place, "destination", push=True)
        move = TagMove(wish, repository, tag, _Intents(self._step.ledger, push_id, reference))
        try:
            with self._at_once, self._step.attempts.attempt(push_id, reference, lost, f"Moving {reference}"):
                moved = move.run(self._step.locks)
        except ImagePusherError as error:
            if error.retry is Retry.GIVE_BACK or (error.retry is Retry.LATER and not self._last_try):
                raise
            left = move.clean()
            return unmoved(tag, error, protective_tag=left[0] if left else None)
        except Exception as error:
            LOG.exception("Push %s: moving %s broke", push_id, reference)
            broken = f"Moving {reference} broke ({type(error).__name__}): see the worker's log."
            return unmoved(tag, ImagePusherError(broken))
        self._recopied.add(manifests_copied=moved.manifests)
        telemetry.count(telemetry.MANIFESTS, moved.manifests)
        report = moved.report(reference)
        # Before the tag counts as dealt with: a repeat tells of it again rather than never.
        self._tell(item, tag, report, moved)
        return report

    def _tell(self, item: ResolvedItem, tag: PlannedTag, report: contract.TagReport, moved: Moved) -> None:
        if report.action in {"copied", "merged"} and self._step.announcer.listens:
            self._step.announcer.tag_moved(moved_tag(self._plan.push_id, item, tag, report, moved.held))

    def _record(self, number: int, tag: PlannedTag, report: contract.TagReport) -> None:
        key = tag_key(number, tag)
        self._step.ledger.record_tag(self._plan.push_id, key, report)
        self._done[key] = report
        telemetry.count(telemetry.TAGS, action=report.action)
        if report.error is not None:
            LOG.warning("%s %s (%s): %s", report.reference, report.action, report.error.code, report.error.message)
        else:
            LOG.info("%s %s: %s → %s", report.reference, report.action, report.old_digest or "new", report.new_digest)

    def _wish(self, item: ResolvedItem) -> Wish:
        rules = MergeRules(self._plan.exact_os_version)
        return Wish(
            image=self._image(item, rules),
            policy=MergePolicy(item.wanted.merge, item.wanted.single_arch, rules),
            drop_missing_children=self._plan.drop_missing_children,
            recopy=self._recopy,
            seen=self._seen,
        )

    def _recopy(self, copy: Copy) -> CopyOutcome:
        outcome = self._step.copier.copy(copy).outcome
        self._recopied.include(outcome.totals)
        return outcome

    def _image(self, item: ResolvedItem, rules: MergeRules) -> SourceImage:
        """Return the source image as it was when the push was planned: the tag may have moved since (BEHAVIOUR 2.1)."""
        content = self._step.ledger.content(self._plan.push_id, item.digest)
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
            document=parse_document(content, item.media_type),
            platform=item.platform,
        )
        return take_platforms(image, item.eligible, rules)


@dataclass(frozen=True)
class _Intents:
    """The intents of one push at one tag, in the ledger."""

    ledger: PublishLedger
    push_id: str
    reference: str

    def read(self) -> TagIntent | None:
        return self.ledger.intent(self.push_id, self.reference)

    def note(self, intent: TagIntent, replaced: Current | None) -> None:
        """Note an intent; raises PushUndone where the push was taken back."""
        if replaced is not None and replaced.content:
            self.ledger.keep_content(self.push_id, replaced.digest, replaced.content)
        self.ledger.record_intent(self.push_id, self.reference, intent)
        # In this order: an undo that begins now either is seen here, or sees the intent and waits for the tag.
        if self.ledger.is_undone(self.push_id):
            raise PushUndone(f"The push {self.push_id} was taken back before {self.reference} was moved.")
