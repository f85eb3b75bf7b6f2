"""Move one tag, under its lock: read again, decide, protect, write, verify (BEHAVIOUR 3.5, 4.8, 4.9, 5.5, 7.1, 7.2)."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from tasks import contract
from tasks.errors import (
    CopyIncomplete,
    DestinationChildMissing,
    ImagePusherError,
    RegistryUnavailable,
    TagConflict,
)
from tasks.oci import media_types
from tasks.oci.digest import Digest
from tasks.oci.merge import MergeRules
from tasks.registry.repository import Repository
from tasks.transfer.decide import Current, Decision, MergePolicy, decide, protective_tag, without
from tasks.transfer.image import SourceImage
from tasks.transfer.plan import Copy, PlannedTag, needed
from tasks.transfer.ports import CopyOutcome, TagIntent, TagLock, TagLocks
from tasks.transfer.reading import read_current, read_subjects

LOG: Final = logging.getLogger(__name__)
_ROUNDS: Final = 5


@dataclass(frozen=True)
class Publication:
    """What every tag of one item has in common."""

    image: SourceImage
    policy: MergePolicy
    drop_missing_children: bool
    locks: TagLocks
    recopy: Callable[[Copy], CopyOutcome]


@dataclass(frozen=True)
class Published:
    """The report of a tag, and how many manifests were written for it."""

    report: contract.TagReport
    manifests: int = 0


def publish_tag(
    publication: Publication,
    repository: Repository,
    tag: PlannedTag,
    intended: TagIntent | None,
    note_intent: Callable[[TagIntent], None],
) -> Published:
    """Bring one tag to what the push wants of it; failures are in the report.

    `intended` is what an earlier delivery of this push noted before it wrote: if the tag is that, the work is done.
    """
    try:
        with publication.locks.hold(tag.reference) as lock:
            return _Tag(publication, repository, tag, lock, note_intent).publish(intended)
    except ImagePusherError as error:
        LOG.warning("%s: %s", tag.reference, error)
        fault = contract.Fault(error.code, str(error))
        report = contract.TagReport(
            reference=tag.reference, action="failed", old_digest=tag.old_digest, new_digest=tag.old_digest, error=fault
        )
        return Published(report)


@dataclass(frozen=True)
class _Tag:
    publication: Publication
    repository: Repository
    tag: PlannedTag
    lock: TagLock
    note_intent: Callable[[TagIntent], None]

    def publish(self, intended: TagIntent | None) -> Published:
        """Read, decide and write until nobody else came between."""
        for _ in range(_ROUNDS):
            current = self._read()
            if intended is not None and current is not None and current.digest == intended.new_digest:
                return Published(self._report(intended))
            decision = self._decide(current)
            intent = self._intent(decision, current)
            if decision.action == "unchanged":
                return Published(self._report(intent))
            self._ensure_needs(self.publication.image)
            if intent.protective_tag is not None:
                intent = self._protect(intent, intent.protective_tag, decision, intended)
            if self._digest() != (current.digest if current else None):
                continue
            self.lock.ensure()
            self.note_intent(intent)
            self._write(self.tag.tag, decision)
            if self._digest() == decision.digest:
                return Published(self._report(intent), manifests=int(decision.media_type in media_types.INDEXES))
        raise TagConflict(f"{self.tag.reference} was written by someone else {_ROUNDS} times while it was being moved.")

    def _read(self) -> Current | None:
        return read_current(self.repository, self.tag.tag, self.publication.image, self.publication.policy)

    def _digest(self) -> Digest | None:
        described = self.repository.resolve(self.tag.tag)
        return described.digest if described else None

    def _decide(self, current: Current | None) -> Decision:
        """Decide until every entry that is kept is there (BEHAVIOUR 4.9)."""
        policy = self._policy(current)
        decision = decide(self.publication.image, current, policy)
        missing = frozenset(entry.digest for entry in decision.kept if self.repository.resolve(entry.digest) is None)
        if missing and current is not None:
            if not self.publication.drop_missing_children:
                raise DestinationChildMissing(
                    f"The index at {self.tag.reference} names {', '.join(sorted(missing))}, which the registry lacks."
                )
            LOG.warning("%s: dropped %s, which the registry lacks", self.tag.reference, ", ".join(sorted(missing)))
            decision = decide(self.publication.image, without(current, missing), policy)
        if decision.warning:
            LOG.warning("%s: %s", self.tag.reference, decision.warning)
        return decision

    def _policy(self, current: Current | None) -> MergePolicy:
        policy = self.publication.policy
        subjects = read_subjects(self.repository, current)
        return replace(policy, rules=MergeRules(policy.rules.exact_os_version, subjects)) if subjects else policy

    def _ensure_needs(self, image: SourceImage) -> None:
        """Check all that the tag needs of the source; copy again, once, what is gone (BEHAVIOUR 5.5)."""
        gone = [need for need in needed(image) if self.repository.resolve(need.digest) is None]
        for need in gone:
            LOG.warning("%s: %s is gone from the registry and is copied again", self.tag.reference, need.digest)
            self._recopy(need.digest, need.media_type, need.size)

    def _recopy(self, digest: Digest, media_type: str, size: int) -> None:
        source = self.publication.image.reference
        outcome = self.publication.recopy(
            Copy(
                digest=digest,
                media_type=media_type,
                size=size,
                source=(source.registry, source.repository),
                destinations=[(self.tag.registry, self.tag.repository)],
            )
        )
        for fault in outcome.faults.values():
            raise CopyIncomplete(f"{self.tag.reference} needs {digest}; copying it again failed: {fault.message}")

    def _write(self, tag: str, decision: Decision) -> None:
        """Write a manifest under a tag; what seems to have failed may have been stored, so it is read again."""
        try:
            self.repository.push_manifest(tag, decision.content, decision.media_type)
        except RegistryUnavailable:
            described = self.repository.resolve(tag)
            if described is None or described.digest != decision.digest:
                raise

    def _protect(self, intent: TagIntent, tag: str, decision: Decision, intended: TagIntent | None) -> TagIntent:
        """Give a merged index its own tag before it gets the floating one (BEHAVIOUR 4.8)."""
        described = self.repository.resolve(tag)
        if described is not None and described.digest == decision.digest:
            mine = intended is not None and intended.protective_tag == tag and intended.protective_tag_created
            return msgspec.structs.replace(intent, protective_tag_created=mine)
        self._write(tag, decision)
        return msgspec.structs.replace(intent, protective_tag_created=True)

    def _intent(self, decision: Decision, current: Current | None) -> TagIntent:
        merged = decision.action == "merged"
        return TagIntent(
            action=decision.action,
            old_digest=current.digest if current else None,
            new_digest=decision.digest,
            kept_platforms=decision.kept_platforms,
            protective_tag=protective_tag(self.tag.tag, decision.digest) if merged else None,
        )

    def _report(self, intent: TagIntent) -> contract.TagReport:
        return contract.TagReport(
            reference=self.tag.reference,
            action=intent.action,
            old_digest=intent.old_digest,
            new_digest=intent.new_digest,
            kept_platforms=intent.kept_platforms,
            protective_tag=intent.protective_tag,
        )
