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
    LockLost,
    NotFound,
    Retry,
    Side,
    TagConflict,
)
from tasks.oci import media_types
from tasks.oci.digest import Digest, parse_digest
from tasks.oci.merge import MergeRules
from tasks.registry.repository import Repository
from tasks.transfer.plan.decide import Current, Decision, MergePolicy, decide, protective_tag, without
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.plan.look import read_current, read_subjects
from tasks.transfer.plan.plan import Copy, PlannedTag, needed
from tasks.transfer.ports import CopyOutcome, TagIntent, TagLock, TagLocks
from tasks.transfer.publish.sightings import Sightings

LOG: Final = logging.getLogger(__name__)
_ROUNDS: Final = 5
_LOCKS: Final = 4


@dataclass(frozen=True)
class Publication:
    """What every tag of one item has in common; `seen` is what was found at the destination moments ago."""

    image: SourceImage
    policy: MergePolicy
    drop_missing_children: bool
    locks: TagLocks
    recopy: Callable[[Copy], CopyOutcome]
    seen: Sightings


@dataclass(frozen=True)
class Published:
    """The report of a tag, the number of manifests that were written for it, and its content, unless it failed.

    `later` is the error, if there is one, that makes another try worthwhile.
    """

    report: contract.TagReport
    manifests: int = 0
    held: Current | None = None
    later: ImagePusherError | None = None


def publish_tag(
    publication: Publication,
    repository: Repository,
    tag: PlannedTag,
    read_intent: Callable[[], TagIntent | None],
    note_intent: Callable[[TagIntent], None],
) -> Published:
    """Bring one tag to what the push wants of it; raises ImagePusherError.

    What an earlier delivery of this push noted before it wrote is read under the lock: if the tag is that, the work is
    done. `note_intent` may forbid the write by raising.
    """
    work = _Tag(publication, repository, tag, read_intent, note_intent)
    try:
        return work.publish_under_lock()
    except ImagePusherError as error:
        if error.retry is Retry.LATER:
            LOG.warning("%s: %s", tag.reference, error)
            if work.may_have_written:
                error.message += " Whether the tag was written cannot be told."
        error.on(Side.DESTINATION)
        raise


class _Tag:
    def __init__(
        self,
        publication: Publication,
        repository: Repository,
        tag: PlannedTag,
        read_intent: Callable[[], TagIntent | None],
        note_intent: Callable[[TagIntent], None],
    ) -> None:
        self.publication = publication
        self.repository = repository
        self.tag = tag
        self._read_intent = read_intent
        self._note_intent = note_intent
        # By what it wrote: a process that stood still may find its own work, though a later delivery noted another.
        self._intents: dict[str, TagIntent] = {}
        self._latest: TagIntent | None = None
        self.may_have_written = False

    def publish_under_lock(self) -> Published:
        """Publish; a lock that was lost before or during the write is taken again, and the tag read again under it."""
        for _ in range(_LOCKS):
            try:
                with self.publication.locks.hold(self.tag.reference) as lock:
                    noted = self._read_intent()
                    self._latest = noted or self._latest
                    if noted is not None:
                        self._intents.setdefault(noted.new_digest, noted)
                    return self._publish(lock)
            except LockLost as error:
                LOG.warning("%s: %s", self.tag.reference, error.message)
                lost = error
        raise lost

    def _publish(self, lock: TagLock) -> Published:
        """Read, decide and write until nobody else came between."""
        self._ensure_needs(self.publication.image)
        healed = False
        for number in range(_ROUNDS):
            # A tag that was absent when the push was planned is taken to be so still: the look before the write tells.
            held = None if number == 0 and self._was_absent() else self._read()
            over = held.digest if held else None
            last = lock.last_written()
            current = self._not_overwritten(held, last)
            decision = self._decide(current)
            if decision.action == "unchanged" and decision.digest == over:
                return self._left(lock, decision)
            if decision.action == "unchanged":
                decision = replace(decision, action="merged" if decision.kept else "copied")
            intent = self._intent(decision, over, last)
            self._note_intent(intent)
            self._intents[intent.new_digest] = self._latest = intent
            if intent.protective_tag is not None and intent.protective_tag_created:
                self.repository.push_manifest(intent.protective_tag, decision.content, decision.media_type)
            # Someone else may have written since (BEHAVIOUR 7.2).
            if self._digest() != over:
                continue
            lock.ensure()
            self.may_have_written = True
            try:
                self.repository.push_manifest(self.tag.tag, decision.content, decision.media_type, over=over)
            except TagConflict:
                continue
            except CopyIncomplete:
                if healed:
                    raise
                # What was there at the last look was collected since (BEHAVIOUR 5.5).
                healed = True
                self.publication.seen.forget(self.repository)
                self._ensure_needs(self.publication.image)
                continue
            if self._digest() == decision.digest:
                lock.ensure()
                lock.note_written(decision.digest)
                return Published(self._report(intent), int(decision.media_type in media_types.INDEXES), _held(decision))
        raise TagConflict(f"{self.tag.reference} was written by someone else {_ROUNDS} times while it was being moved.")

    def _left(self, lock: TagLock, decision: Decision) -> Published:
        """Leave a tag as it is: as it was found, or as this push wrote it and did not come to note that."""
        mine = self._intents.get(decision.digest)
        if mine is not None:
            lock.ensure()
            lock.note_written(decision.digest)
        return Published(self._report(mine or self._intent(decision, decision.digest)), held=_held(decision))

    def _not_overwritten(self, held: Current | None, last: str | None) -> Current | None:
        """Return what the tag holds, or what another push wrote there and this one, without its lock, wrote over.

        Without a fence in the registry, a process that stood still between looking at its lock and writing may do that.
        Since its intent, noted under the lock, others have written there then; `last` is what.
        """
        mine = self._intents.get(held.digest) if held is not None else None
        if held is None or mine is None or last in {None, held.digest, mine.written_before}:
            return held
        LOG.warning("%s: %s was written over, and is merged again", self.tag.reference, last)
        try:
            fetched = self.repository.fetch_manifest(str(last))
        except NotFound:
            return held
        return Current(fetched.digest, fetched.media_type, fetched.content)

    def _was_absent(self) -> bool:
        return self.tag.action == "copied" and self.tag.old_digest is None and not self._intents

    def _read(self) -> Current | None:
        return read_current(self.repository, self.tag.tag, self.publication.image, self.publication.policy)

    def _digest(self) -> Digest | None:
        described = self.repository.resolve(self.tag.tag)
        return described.digest if described else None

    def _decide(self, current: Current | None) -> Decision:
        """Decide until every entry that is kept is there (BEHAVIOUR 4.9)."""
        policy = self._policy(current)
        decision = decide(self.publication.image, current, policy)
        missing = frozenset(entry.digest for entry in decision.kept if not self._holds(entry.digest))
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
        gone = [need for need in needed(image) if not self._holds(need.digest)]
        for need in gone:
            LOG.warning("%s: %s is gone from the registry and is copied again", self.tag.reference, need.digest)
            self._recopy(need.digest, need.media_type, need.size)

    def _holds(self, digest: Digest) -> bool:
        return self.publication.seen.of(self.repository, digest)

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
        for error in outcome.errors.values():
            raise CopyIncomplete(f"{self.tag.reference} needs {digest}; copying it again failed: {error}")

    def _intent(self, decision: Decision, over: Digest | None, last: str | None = None) -> TagIntent:
        mine = self._intents.get(over or "")
        intent = TagIntent(
            action=decision.action,
            old_digest=mine.old_digest if mine is not None else over,
            new_digest=decision.digest,
            kept_platforms=decision.kept_platforms,
            written_before=last,
            overtaken=self._overtaken(decision.digest),
        )
        return self._protected(intent) if decision.action == "merged" else intent

    def _overtaken(self, digest: Digest) -> dict[str, str]:
        latest = self._latest
        if latest is None:
            return {}
        left = {latest.protective_tag: latest.new_digest} if latest.protective_tag_created else {}
        return {tag: of for tag, of in (latest.overtaken | left).items() if tag is not None and of != digest}

    def _protected(self, intent: TagIntent) -> TagIntent:
        """Return the intent with a tag for the merged index alone, written before the floating one (BEHAVIOUR 4.8)."""
        tag = protective_tag(self.tag.tag, parse_digest(intent.new_digest))
        earlier = self._intents.get(intent.new_digest)
        mine = earlier is not None and earlier.protective_tag_created
        if not mine:
            described = self.repository.resolve(tag)
            mine = described is None or described.digest != intent.new_digest
        return msgspec.structs.replace(intent, protective_tag=tag, protective_tag_created=mine)

    def _report(self, intent: TagIntent) -> contract.TagReport:
        return contract.TagReport(
            reference=self.tag.reference,
            action=intent.action,
            old_digest=intent.old_digest,
            new_digest=intent.new_digest,
            kept_platforms=intent.kept_platforms,
            protective_tag=intent.protective_tag,
        )


def _held(decision: Decision) -> Current:
    """Return what a tag holds once a decision is carried out."""
    return Current(decision.digest, decision.media_type, decision.content)
