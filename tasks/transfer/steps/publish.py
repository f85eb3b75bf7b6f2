"""Publish every tag of a push and write its report (BEHAVIOUR section 6)."""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Executor, wait
from dataclasses import dataclass
from typing import Final

from tasks import contract, telemetry
from tasks.errors import ImagePusherError, PushCancelled, PushUndone, PushUnknown, Retry, longest_wait
from tasks.oci.digest import parse_digest
from tasks.oci.document import parse_document
from tasks.oci.merge import MergeRules
from tasks.oci.platform import Platform
from tasks.oci.reference import Reference
from tasks.registry.repository import Registries
from tasks.transfer.copy.copier import Copier
from tasks.transfer.copy.totals import Counter
from tasks.transfer.plan.decide import MergePolicy
from tasks.transfer.plan.image import SourceImage, take_platforms
from tasks.transfer.plan.plan import Copy, Plan, PlannedItem, PlannedTag
from tasks.transfer.ports import Announcer, CopyOutcome, Ledger, Runs, TagIntent, TagLocks
from tasks.transfer.publish.event import moved_tag
from tasks.transfer.publish.report import build_report, obstacle, unmoved, withheld_tags
from tasks.transfer.publish.sightings import Sightings
from tasks.transfer.publish.tag import Publication, Published, publish_tag
from tasks.transfer.steps.attempts import Attempts

LOG: Final = logging.getLogger(__name__)
PART: Final = "publish"


@dataclass(frozen=True)
class Concluding:
    """What the end of a push needs."""

    registries: Registries
    ledger: Ledger
    runs: Runs
    locks: TagLocks
    copier: Copier
    announcer: Announcer
    executor: Executor
    cancelled: threading.Event
    attempts: Attempts
    clock: Callable[[], float]

    def conclude(self, push_id: str, *, last_try: bool) -> contract.PushReport:
        """Move the tags of a push and return its report; raises PushUnknown if its plan is gone.

        Delivered again, it returns the report that is there, and takes every tag that was dealt with as it was. Unless
        this is the `last_try`, raises RegistryUnavailable where a registry may answer later. Raises PushCancelled when
        the worker shuts down, StateUnavailable, LockUnavailable.
        """
        with self.runs.hold(push_id, PART):
            report = self.ledger.report(push_id)
            if report is not None:
                return report
            plan = self.ledger.plan(push_id)
            if plan is None:
                raise PushUnknown(f"The plan of the push {push_id!r} is gone from the ledger.")
            return self._move_tags(plan, last_try=last_try)

    def give_up(self, plan: Plan, error: ImagePusherError) -> contract.PushReport:
        """End a push as it is: tags that have not been dealt with fail with `error`."""
        done = self.ledger.tags(plan.push_id)
        tags = {
            tag.reference: done.get(tag.reference) or unmoved(tag, error) for item in plan.items for tag in item.tags
        }
        return self._finish(plan, tags, Counter())

    def _move_tags(self, plan: Plan, *, last_try: bool) -> contract.PushReport:
        push_id = plan.push_id
        copies = self.ledger.copies(push_id)
        counter = Counter()
        at_once = threading.BoundedSemaphore(plan.jobs)
        tags = dict(self.ledger.tags(push_id))
        work = [(item, tag) for item in plan.items for tag in item.tags if tag.reference not in tags]
        lost = self.ledger.lost(push_id, [tag.reference for _, tag in work])
        seen = Sightings()
        withheld = {id(item): error for item, error in zip(plan.items, withheld_tags(plan, copies), strict=True)}
        publications = {id(item): self._publication(plan, item, counter, seen) for item in plan.items}

        postponed: list[ImagePusherError] = []

        def conclude_tag(item: PlannedItem, tag: PlannedTag, lost: int) -> contract.TagReport:
            if self.cancelled.is_set():
                raise PushCancelled("The worker is shutting down.")
            concluded = obstacle(item, tag, copies, withheld[id(item)]) or _found_right(tag)
            if concluded is None:
                with at_once:
                    published = self._attempt(plan, publications[id(item)], tag, lost)
                if published.later is not None and not last_try:
                    postponed.append(published.later)
                    return published.report
                counter.add(manifests_copied=published.manifests)
                telemetry.count(telemetry.MANIFESTS, published.manifests)
                concluded = published.report
                # Before the tag counts as dealt with: a repeat tells of it again rather than never.
                self._announce(plan, item, tag, published)
            self.ledger.record_tag(push_id, concluded)
            telemetry.count(telemetry.TAGS, action=concluded.action)
            _log(concluded)
            return concluded

        def conclude_named(item: PlannedItem, tag: PlannedTag, lost: int) -> contract.TagReport:
            with telemetry.context(reference=tag.reference):
                return conclude_tag(item, tag, lost)

        futures = [
            self.executor.submit(conclude_named, item, tag, number)
            for (item, tag), number in zip(work, lost, strict=True)
        ]
        # Nothing of this delivery may go on when the next one begins.
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            future.cancel()
        wait(futures)
        for future in futures:
            if not future.cancelled():
                concluded = future.result()
                tags[concluded.reference] = concluded
        later = longest_wait(postponed)
        if later is not None:
            raise later
        return self._finish(plan, tags, counter)

    def _attempt(self, plan: Plan, publication: Publication | None, tag: PlannedTag, lost: int) -> Published:
        """Publish a tag; an error of it is in its report, but for one that gives the whole push back."""
        try:
            with self.attempts.attempt(plan.push_id, tag.reference, lost, f"Moving {tag.reference}"):
                return self._publish(plan, publication, tag)
        except ImagePusherError as error:
            if error.retry is Retry.GIVE_BACK:
                raise
            return Published(unmoved(tag, error), later=longest_wait([error]))
        except Exception as error:
            LOG.exception("Push %s: moving %s broke", plan.push_id, tag.reference)
            broken = f"Moving {tag.reference} broke ({type(error).__name__}): see the worker's log."
            return Published(unmoved(tag, ImagePusherError(broken)))

    def _finish(self, plan: Plan, tags: Mapping[str, contract.TagReport], counter: Counter) -> contract.PushReport:
        parts = [outcome.totals for outcome in self.ledger.copies(plan.push_id).values()]
        report = build_report(plan, tags, [*parts, counter.totals()], self.clock() - plan.created)
        self.ledger.finish(report)
        telemetry.count(telemetry.PUSHES, state=report.state)
        telemetry.observe(telemetry.PUSH_SECONDS, report.totals.seconds, state=report.state)
        return report

    def _announce(self, plan: Plan, item: PlannedItem, tag: PlannedTag, published: Published) -> None:
        moved = published.report.action in {"copied", "merged"}
        if moved and not tag.is_digest and published.held is not None and self.announcer.listens:
            self.announcer.tag_moved(moved_tag(plan.push_id, item, tag, published.report, published.held))

    def _publication(self, plan: Plan, item: PlannedItem, counter: Counter, seen: Sightings) -> Publication | None:
        if item.error is not None:
            return None

        def recopy(copy: Copy) -> CopyOutcome:
            outcome = self.copier.copy(copy).outcome
            moved = outcome.totals
            counter.add(
                bytes_copied=moved.bytes_copied,
                blobs_copied=moved.blobs_copied,
                blobs_mounted=moved.blobs_mounted,
                blobs_skipped=moved.blobs_skipped,
                manifests_copied=moved.manifests_copied,
            )
            return outcome

        rules = MergeRules(plan.exact_os_version)
        return Publication(
            image=self._image(plan, item, rules),
            policy=MergePolicy(item.merge, item.single_arch, rules),
            drop_missing_children=plan.drop_missing_children,
            locks=self.locks,
            recopy=recopy,
            seen=seen,
        )

    def _image(self, plan: Plan, item: PlannedItem, rules: MergeRules) -> SourceImage:
        """Return the source image as it was when the push was planned: the tag may have moved since (BEHAVIOUR 2.1)."""
        content = self.ledger.content(plan.push_id, item.digest or "")
        if content is None:
            raise PushUnknown(f"The source of the push {plan.push_id!r} is gone from the ledger.")
        digest = parse_digest(item.digest or "")
        image = SourceImage(
            reference=Reference.parse(item.source).at(digest),
            kind=item.kind or "multi-arch",
            media_type=item.media_type,
            content=content,
            digest=digest,
            original_digest=digest,
            original_content=content,
            document=parse_document(content, item.media_type),
            platform=item.platform.read() if item.platform else None,
        )
        return take_platforms(image, tuple(map(Platform.parse, item.platforms)), rules)

    def _publish(self, plan: Plan, publication: Publication | None, tag: PlannedTag) -> Published:
        if publication is None:
            raise PushUnknown(f"The source of {tag.reference} is gone from the ledger.")

        def note(intent: TagIntent) -> None:
            if tag.is_digest:
                # Nothing is overwritten; to take it back would take the tags along that others gave the manifest.
                return
            self.ledger.record_intent(plan.push_id, tag.reference, intent)
            # In this order: an undo that begins now either is seen here, or sees the intent and waits for the tag.
            if self.ledger.is_undone(plan.push_id):
                raise PushUndone(f"The push {plan.push_id} was taken back before {tag.reference} was moved.")

        repository = self.registries.repository(tag.registry, tag.repository, "destination", push=True)
        return publish_tag(publication, repository, tag, lambda: self.ledger.intent(plan.push_id, tag.reference), note)


def _found_right(tag: PlannedTag) -> contract.TagReport | None:
    """Return the report of a tag that held the right digest when the push was planned: there is nothing to write."""
    if tag.action != "unchanged":
        return None
    return contract.TagReport(
        reference=tag.reference,
        action="unchanged",
        old_digest=tag.old_digest,
        new_digest=tag.new_digest,
        kept_platforms=tag.kept_platforms,
    )


def _log(report: contract.TagReport) -> None:
    if report.error is not None:
        LOG.warning("%s %s (%s): %s", report.reference, report.action, report.error.code, report.error.message)
    else:
        LOG.info("%s %s: %s → %s", report.reference, report.action, report.old_digest or "new", report.new_digest)
