"""Move one tag under its lock (BEHAVIOUR 3.5, 4.8, 4.9, 5.5, 7.1, 7.2, 7.6).

A move is staged: the tag is read, what it shall hold is decided, and the parts are looked for. Then it is flipped: the
intent is noted, the tag is written and read again. Where someone else came between, it is staged anew.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

import msgspec

from tasks import contract
from tasks.errors import (
    CopyIncomplete,
    DestinationChildMissing,
    ImagePusherError,
    LockLost,
    ManifestInvalid,
    NotFound,
    RegistryError,
    Retry,
    Side,
    TagConflict,
)
from tasks.oci import media_types
from tasks.oci.digest import Digest, parse_digest
from tasks.oci.merge import MergeRules
from tasks.registry.repository import Repository
from tasks.transfer.plan.decide import Current, Decision, MergePolicy, decide, protective_tags, without
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.plan.look import read_current, read_subjects
from tasks.transfer.plan.plan import Copy, PlannedTag, needed
from tasks.transfer.ports import CopyOutcome, TagIntent, TagLock, TagLocks, TagRecord, Written
from tasks.transfer.publish.memory import Memory
from tasks.transfer.publish.sightings import Sightings

LOG: Final = logging.getLogger(__name__)
_ROUNDS: Final = 5
_LOCKS: Final = 4


class IntentLog(Protocol):
    """The intents of one push at one tag, as the ledger keeps them."""

    def read(self) -> TagIntent | None:
        """Return the last intent that was noted."""
        ...

    def note(self, intent: TagIntent, replaced: Current | None) -> None:
        """Note an intent, and the bytes of the manifest that is replaced; may forbid the write by raising."""
        ...


@dataclass(frozen=True)
class Wish:
    """All that the tags of one item have in common; `seen` is what was found at the destination moments ago."""

    image: SourceImage
    policy: MergePolicy
    drop_missing_children: bool
    recopy: Callable[[Copy], CopyOutcome]
    seen: Sightings


@dataclass(frozen=True)
class Staged:
    """A decision on a tag that holds `held`, and builds on `base`: another manifest where a late write is mended."""

    decision: Decision
    held: Current | None
    base: Current | None
    last: str | None

    @property
    def is_right(self) -> bool:
        """Whether the tag holds already what it shall hold."""
        return self.held is not None and self.decision.digest == self.held.digest


@dataclass(frozen=True)
class Moved:
    """The intent that was carried out, the manifest that the tag holds, and the number of manifests written."""

    intent: TagIntent
    held: Current
    manifests: int = 0

    def report(self, reference: str) -> contract.TagReport:
        """Return the report of the tag."""
        return contract.TagReport(
            reference=reference,
            action=self.intent.action,
            old_digest=self.intent.old_digest,
            new_digest=self.intent.new_digest,
            kept_platforms=self.intent.kept_platforms,
            protective_tag=self.intent.protective_tag,
        )


class TagMove:
    """The way of one tag to what the push wants of it; used once, by one thread."""

    def __init__(self, wish: Wish, repository: Repository, tag: PlannedTag, intents: IntentLog) -> None:
        self.memory = Memory()
        self._wish = wish
        self._repository = repository
        self._planned = tag
        self._reference = tag.reference
        self._tag = tag.reference.identifier
        self._intents = intents
        self._may_have_written = False
        self._healed = False

    def run(self, locks: TagLocks) -> Moved:
        """Move the tag; raises ImagePusherError.

        A lock that was lost before or during the write is taken again, and the tag is read again under it.
        """
        try:
            return self._run(locks)
        except ImagePusherError as error:
            if error.retry is Retry.LATER:
                LOG.warning("%s: %s", self._reference, error)
                if self._may_have_written:
                    error.message += " Whether the tag was written cannot be told."
            error.on(Side.DESTINATION)
            raise

    def _run(self, locks: TagLocks) -> Moved:
        for _ in range(_LOCKS):
            try:
                with locks.hold(str(self._reference)) as lock:
                    return self._move(lock)
            except LockLost as error:
                LOG.warning("%s: %s", self._reference, error.message)
                lost = error
        raise lost

    def _move(self, lock: TagLock) -> Moved:
        self.memory = self.memory.recalling(self._intents.read())
        self._ensure_needs()
        for number in range(_ROUNDS):
            # A tag that was absent when the push was planned is taken to be so still: the look before the write tells.
            staged = self.stage(lock, absent=number == 0 and self._was_absent())
            moved = self._leave(lock, staged) if staged.is_right else self.flip(lock, staged)
            if moved is not None:
                return moved
        raise TagConflict(f"{self._reference} was written by someone else {_ROUNDS} times while it was being moved.")

    def stage(self, lock: TagLock, *, absent: bool = False) -> Staged:
        """Read the tag, unless it is taken to be absent, and decide what it shall hold (BEHAVIOUR 3.5)."""
        held = None if absent else self._read()
        record = lock.record()
        base = self._base(held, record, lock)
        decision = self._decide(base)
        if not (held is not None and decision.digest == held.digest):
            base = self._whole(base)
            if decision.action == "unchanged":
                decision = replace(decision, action="merged" if decision.kept else "copied")
        return Staged(decision, held, base, record.last)

    def flip(self, lock: TagLock, staged: Staged) -> Moved | None:
        """Write the tag and look at it again; None where someone else wrote it meanwhile (BEHAVIOUR 7.2)."""
        decision, over = staged.decision, staged.held.digest if staged.held else None
        intent = self._protected(self.memory.intent(decision, staged.held, staged.base))
        # A delivery that lost its lock must not replace the intent of the one that holds it.
        lock.ensure()
        self._intents.note(intent, staged.base)
        self.memory = self.memory.remembering(intent)
        lock.note_writing(decision.digest, staged.last)
        new = intent.protective_tag if intent.protective_tag_created else None
        if new is not None and not self._write(new, decision, None):
            return None
        if self._digest() != over:
            return None
        lock.ensure()
        self._may_have_written = True
        self.memory = self.memory.writing()
        if not self._write(self._tag, decision, over) or self._digest() != decision.digest:
            return None
        self._settle(lock, decision)
        return Moved(intent, _held(decision), int(decision.media_type in media_types.INDEXES))

    def clean(self) -> list[str]:
        """Delete the protective tags that this push made for a tag that it did not move; return those that stay."""
        return [tag for tag in self.memory.protective_tags() if not self._is_deleted(tag)]

    def _is_deleted(self, tag: str) -> bool:
        try:
            return self._repository.delete_tag(tag)
        except RegistryError as error:
            LOG.warning("%s: %s was not deleted: %s", self._reference, tag, error)
            return False

    def _leave(self, lock: TagLock, staged: Staged) -> Moved:
        """Leave a tag as it is: as it was found, or as this push wrote it and did not come to note that."""
        if self.memory.own(staged.decision.digest) is not None:
            self._settle(lock, staged.decision)
        return Moved(self.memory.left(staged.decision), _held(staged.decision))

    def _settle(self, lock: TagLock, decision: Decision) -> None:
        lock.ensure()
        lock.note_written(Written(decision.digest, decision.media_type, decision.content))

    def _write(self, tag: str, decision: Decision, over: Digest | None) -> bool:
        """Write a tag, over a digest or where none was; False where another round is due."""
        try:
            self._repository.push_manifest(tag, decision.content, decision.media_type, over=over)
        except TagConflict:
            return False
        except CopyIncomplete:
            if self._healed:
                raise
            # A part that was there at the last look was collected since (BEHAVIOUR 5.5).
            self._healed = True
            self._wish.seen.forget(self._repository)
            self._ensure_needs()
            return False
        return True

    def _base(self, held: Current | None, record: TagRecord, lock: TagLock) -> Current | None:
        """Return the manifest to build on: where a late write of ours replaced another of ours, the replaced one.

        No registry has a fence: a process that stood still between looking at its lock and writing may do that.
        """
        lost = record.overwritten_by(held.digest if held else None)
        if lost is None:
            return held
        LOG.warning("%s: a late write replaced %s, which is merged again", self._reference, lost)
        try:
            return _current(self._repository, lost)
        except NotFound:
            return self._revive(lost, lock)

    def _revive(self, digest: str, lock: TagLock) -> Current:
        """Store a manifest that the registry dropped again: it serves the parts from then on (BEHAVIOUR 7.6)."""
        kept = lock.kept(digest)
        try:
            if kept is not None:
                self._repository.push_manifest(digest, kept.content, kept.media_type)
                return Current(parse_digest(digest), kept.media_type, kept.content)
        except CopyIncomplete as error:
            LOG.warning("%s: %s cannot be stored again: %s", self._reference, digest, error)
        raise TagConflict(
            f"A late write replaced {digest} at {self._reference}, and the registry has it no longer. Push again the"
            " image that was pushed there last."
        )

    def _whole(self, base: Current | None) -> Current | None:
        """Return the manifest that is replaced with its bytes, so that it can be written again (BEHAVIOUR 6.6)."""
        if base is None or base.content:
            return base
        try:
            return _current(self._repository, base.digest)
        except (NotFound, ManifestInvalid):
            # It is gone, as the look before the write will tell; or no client can read it.
            return base

    def _was_absent(self) -> bool:
        return self._planned.action == "copied" and self._planned.old_digest is None and self.memory.latest is None

    def _read(self) -> Current | None:
        return read_current(self._repository, self._tag, self._wish.image, self._wish.policy)

    def _digest(self) -> Digest | None:
        described = self._repository.resolve(self._tag)
        return described.digest if described else None

    def _decide(self, base: Current | None) -> Decision:
        """Decide until every entry that is kept is there (BEHAVIOUR 4.9)."""
        policy = self._policy(base)
        decision = decide(self._wish.image, base, policy)
        missing = frozenset(entry.digest for entry in decision.kept if not self._holds(entry.digest))
        if missing and base is not None:
            named = ", ".join(sorted(missing))
            if not self._wish.drop_missing_children:
                raise DestinationChildMissing(f"{self._reference} names {named}, which its registry lacks.")
            LOG.warning("%s: dropped %s, which the registry lacks", self._reference, named)
            decision = decide(self._wish.image, without(base, missing), policy)
        if decision.warning:
            LOG.warning("%s: %s", self._reference, decision.warning)
        return decision

    def _policy(self, base: Current | None) -> MergePolicy:
        policy = self._wish.policy
        subjects = read_subjects(self._repository, base)
        return replace(policy, rules=MergeRules(policy.rules.exact_os_version, subjects)) if subjects else policy

    def _ensure_needs(self) -> None:
        """Look for all that the tag needs of the source; copy again, once, what is gone (BEHAVIOUR 5.5)."""
        gone = [need for need in needed(self._wish.image) if not self._holds(need.digest)]
        for need in gone:
            LOG.warning("%s: %s is gone from the registry and is copied again", self._reference, need.digest)
            copy = Copy(
                digest=need.digest,
                media_type=need.media_type,
                size=need.size,
                source=self._wish.image.reference.place,
                destinations=[self._reference.place],
            )
            for error in self._wish.recopy(copy).errors.values():
                raise CopyIncomplete(f"{self._reference} needs {need.digest}; copying it again failed: {error}")

    def _holds(self, digest: Digest) -> bool:
        return self._wish.seen.holds(self._repository, digest)

    def _protected(self, intent: TagIntent) -> TagIntent:
        """Return the intent with a tag for the merged index alone, written before the floating one (BEHAVIOUR 4.8)."""
        if intent.action != "merged":
            return intent
        # A name that is taken by something else is left alone.
        for name in protective_tags(self._tag, parse_digest(intent.new_digest)):
            described = self._repository.resolve(name)
            if described is None or described.digest == intent.new_digest:
                mine = described is None or self.memory.made_protection(intent.new_digest)
                return msgspec.structs.replace(intent, protective_tag=name, protective_tag_created=mine)
        raise TagConflict(f"Every name of a protective tag for {self._reference} is taken by something else.")


def _held(decision: Decision) -> Current:
    """Return what a tag holds once a decision is carried out."""
    return Current(decision.digest, decision.media_type, decision.content)


def _current(repository: Repository, digest: str) -> Current:
    fetched = repository.fetch_manifest(digest)
    return Current(fetched.digest, fetched.media_type, fetched.content)
