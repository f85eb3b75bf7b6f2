"""Publish every tag of a push and write its report (BEHAVIOUR section 6)."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from tasks import contract
from tasks.errors import PushUnknown
from tasks.oci.digest import parse_digest
from tasks.oci.document import parse_document
from tasks.oci.merge import MergeRules
from tasks.oci.platform import Platform
from tasks.oci.reference import Reference
from tasks.registry.repository import Registries
from tasks.transfer.copy import Copier
from tasks.transfer.decide import MergePolicy
from tasks.transfer.image import SourceImage, take_platforms
from tasks.transfer.plan import Copy, Plan, PlannedItem, PlannedTag
from tasks.transfer.ports import CopyOutcome, Ledger, TagIntent, TagLocks
from tasks.transfer.publish import Publication, Published, publish_tag
from tasks.transfer.report import build_report, obstacle
from tasks.transfer.totals import Counter


@dataclass(frozen=True)
class Concluding:
    """What the end of a push needs."""

    registries: Registries
    ledger: Ledger
    locks: TagLocks
    copier: Copier
    executor: Executor
    clock: Callable[[], float]

    def conclude(self, push_id: str) -> contract.PushReport:
        """Move the tags of a push and return its report; raises PushUnknown if its plan is gone.

        Delivered again, it returns the report that is there, and takes every tag that was dealt with as it was.
        """
        report = self.ledger.report(push_id)
        if report is not None:
            return report
        plan = self.ledger.plan(push_id)
        if plan is None:
            raise PushUnknown(f"The plan of the push {push_id!r} is gone from the ledger.")
        copies = self.ledger.copies(push_id)
        counter = Counter()
        at_once = threading.BoundedSemaphore(plan.jobs)
        tags = dict(self.ledger.tags(push_id))
        intents = self.ledger.intents(push_id)
        work = [(item, tag) for item in plan.items for tag in item.tags if tag.reference not in tags]
        publications = {id(item): self._publication(plan, item, counter) for item in plan.items}

        def conclude_tag(item: PlannedItem, tag: PlannedTag) -> contract.TagReport:
            concluded = obstacle(plan, item, tag, copies) or _found_right(tag)
            if concluded is None:
                with at_once:
                    published = self._publish(plan, publications[id(item)], tag, intents)
                counter.add(manifests_copied=published.manifests)
                concluded = published.report
            self.ledger.record_tag(push_id, concluded)
            return concluded

        for concluded in self.executor.map(lambda part: conclude_tag(*part), work):
            tags[concluded.reference] = concluded
        parts = [outcome.totals for outcome in copies.values()]
        report = build_report(plan, tags, [*parts, counter.totals()], self.clock() - plan.created)
        self.ledger.finish(report)
        return report

    def _publication(self, plan: Plan, item: PlannedItem, counter: Counter) -> Publication | None:
        if item.error is not None:
            return None

        def recopy(copy: Copy) -> CopyOutcome:
            outcome, _ = self.copier.copy(copy)
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

    def _publish(
        self,
        plan: Plan,
        publication: Publication | None,
        tag: PlannedTag,
        intents: Mapping[str, TagIntent],
    ) -> Published:
        if publication is None:
            raise PushUnknown(f"The source of {tag.reference} is gone from the ledger.")
        repository = self.registries.repository(tag.registry, tag.repository, "destination", push=True)
        return publish_tag(
            publication,
            repository,
            tag,
            intents.get(tag.reference),
            lambda intent: self.ledger.record_intent(plan.push_id, tag.reference, intent),
        )


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
