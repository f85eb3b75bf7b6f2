"""Move the tags of a release: all of them, or none (BEHAVIOUR 10.1).

All tags are locked at once, in the order of their names, so that two releases never wait for each other. Each tag is
staged: its new manifest is at the destination, and its old state can be restored. Then the tags are flipped, one after
the other. If a flip fails, the moved tags are put back; if the reason may pass, the whole release is tried again later.
A journal holds the direction of the release before each step: a later delivery goes on in that direction.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Final

import msgspec

from tasks import contract
from tasks.errors import (
    DestinationError,
    ImagePusherError,
    LockLost,
    LockUnavailable,
    Retry,
    RolledBack,
    TagConflict,
    Withheld,
)
from tasks.transfer.after.holders import Holders
from tasks.transfer.ports import MayRetry, TagIntent, TagLock, TagLocks
from tasks.transfer.publish.journal import Direction, Journal, has_begun
from tasks.transfer.publish.member import Member, Stopped, stopping
from tasks.transfer.publish.report import unmoved
from tasks.transfer.publish.stage import Staged
from tasks.transfer.publish.tag import Moved
from tasks.transfer.publish.together import Flip, groups, write
from tasks.transfer.publish.unsettled import unsettled, untold, waiting

LOG: Final = logging.getLogger(__name__)
_LOCKS: Final = 4


@dataclass
class Ended:
    """The end of a release: the move of each tag if it `stands`, else the report of each tag, and those put back."""

    moved: dict[str, Moved] = field(default_factory=dict)
    reports: dict[str, contract.TagReport] = field(default_factory=dict)
    restored: list[Member] = field(default_factory=list)

    def forget(self) -> None:
        """Note that the `restored` tags were put back, so that an undo leaves alone what others write there later.

        Those that others moved meanwhile are among them: nothing of the release is left there.

        It comes after the reports of the tags: a repeat makes them from the intents.
        """
        for member in self.restored:
            with suppress(LockLost):
                member.move.forget()

    @property
    def stands(self) -> bool:
        """Whether all tags moved."""
        return not self.reports


class HeldLocks:
    """The locks that a release holds, for work on its tags; locks of other tags are waited for."""

    def __init__(self, held: Mapping[str, TagLock], others: TagLocks) -> None:
        self._held = held
        self._others = others

    def hold(self, reference: str) -> AbstractContextManager[TagLock]:
        """Return the lock of a tag of the release, or hold another tag."""
        if reference in self._held:
            return nullcontext(self._held[reference])
        return self._others.hold(reference)


PutBack = Callable[[Mapping[str, TagIntent], TagLocks], contract.Undo]


class Release:
    """The joint move of several tags.

    `put_back` restores the tags of intents. Used once.
    """

    def __init__(
        self, members: Sequence[Member], locks: TagLocks, journal: Journal, put_back: PutBack, executor: Executor
    ) -> None:
        self._members = members
        self._locks = locks
        self._journal = journal
        self._put_back = put_back
        self._executor = executor
        self._flipped: set[str] = set()

    def run(self, may_retry: MayRetry, abandoned: ImagePusherError | None = None) -> Ended:
        """Move all tags, or none; raises an error if the release is to be given back, or tried again.

        `abandoned` is the reason for which no more tags are moved: those that moved are put back, unless all of them
        did.

        If a lock was lost, another delivery may have ended the release: nothing is put back before all locks are taken
        again and the journal is read again.
        """
        for _ in range(_LOCKS):
            try:
                return self._run(may_retry, abandoned)
            except LockLost as error:
                LOG.warning("The release is begun again: %s", error)
                unlocked: ImagePusherError = error
            except LockUnavailable as error:
                unlocked = error
                break
        return self._unlocked(unlocked, may_retry)

    def _unlocked(self, error: ImagePusherError, may_retry: MayRetry) -> Ended:
        """Return the reports of tags whose locks cannot be held; raises the error of another try, if one may follow.

        A release that has begun is waited for as one that cannot be put back yet: half of it may stand.
        """
        if may_retry(error):
            raise error
        if has_begun(self._journal.read()) or not self._is_never(error):
            later = waiting(f"The release cannot be ended yet: {error.message}")
            if may_retry(later):
                raise later
            error.message += " Whether the tags of the release were moved cannot be told."
        return Ended(reports={member.key: unmoved(member.tag, error) for member in self._members})

    def _is_never(self, error: ImagePusherError) -> bool:
        """Note that the release ends before it began; return False if another delivery has begun with it since."""
        try:
            self._journal.note("never", error.message)
        except LockLost:
            return False
        return True

    def _run(self, may_retry: MayRetry, abandoned: ImagePusherError | None) -> Ended:
        with ExitStack() as stack:
            references = sorted({member.reference for member in self._members})
            held = {reference: stack.enter_context(self._locks.hold(reference)) for reference in references}
            direction = self._journal.read()
            for member in self._members:
                # Before the release begins, it has written no tag: one that holds its image got it from another push.
                member.move.recall(has_written=has_begun(direction) or member.follows)
            if has_begun(direction):
                # Only the tags themselves show which of them an earlier delivery moved.
                self._flipped.update(member.key for member in self._members if member.intent is not None)
            if abandoned is not None and direction != "stands":
                return self._back(held, abandoned, self._members, may_retry)
            # The report names the tag that was refused, also if the worker that met the refusal is gone.
            earlier = RolledBack(self._journal.why() or "An earlier delivery of the push began to roll it back.")
            if direction in {"back", "never"}:
                return self._back(held, earlier, (), may_retry)
            if direction == "return":
                if _failed(self._put_all_back(held, earlier, direction, may_retry)):
                    return self._back(held, earlier, (), may_retry)
                self._let_begin_again(held)
            try:
                return Ended(moved=self._forward(held))
            except Stopped as stopped:
                error, culprit = stopped.error, stopped.member
            if error.retry is Retry.GIVE_BACK or isinstance(error, LockLost):
                raise error
            if not has_begun(self._journal.read()) and may_retry(error):
                raise error
            LOG.warning("The release does not stand: %s", error)
            return self._back(held, error, (culprit,), may_retry)

    def _forward(self, held: Mapping[str, TagLock]) -> dict[str, Moved]:
        """Stage all tags, then flip them."""
        if self._journal.read() == "stands":
            return {member.key: self._stood(member, held) for member in self._members}
        if not has_begun(self._journal.read()):
            self._journal.claim(list(held))
        staged = dict(zip((member.key for member in self._members), self._stage_all(held), strict=True))
        # A tag to which several items go has one intent at a time: those of the others follow before they write it.
        firsts: dict[str, Member] = {}
        for member in self._members:
            firsts.setdefault(member.reference, member)
        intents = {member.key: self._announce(member, held, staged[member.key]) for member in firsts.values()}
        self._journal.note("forward")
        moved = self._together(held, staged, intents)
        written = {member.reference for member in self._members if member.key in moved}
        for member in self._members:
            if member.key in moved:
                continue
            with stopping(member):
                lock = held[member.reference]
                if member.reference in written:
                    # Another item of the release has just written this tag (BEHAVIOUR 1.5).
                    member.move.recall()
                    staged[member.key] = member.move.stage(lock)
                    member.move.bring(staged[member.key], HeldLocks(held, self._locks))
                    intents[member.key] = self._announce(member, held, staged[member.key])
                self._flipped.add(member.key)
                moved[member.key] = _flip(member, lock, staged[member.key], intents[member.key])
                written.add(member.reference)
        self._journal.note("stands")
        return moved

    def _together(
        self, held: Mapping[str, TagLock], staged: Mapping[str, Staged], intents: Mapping[str, TagIntent | None]
    ) -> dict[str, Moved]:
        """Flip the tags that the registry can write several of at once; return the moves of those that it wrote."""
        flips = [
            Flip(member, held[member.reference], staged[member.key], intent)
            for member in self._members
            if (intent := intents.get(member.key)) is not None
        ]
        moved: dict[str, Moved] = {}
        for group in groups(flips):
            keys = {flip.member.key for flip in group}
            self._flipped |= keys
            moved |= write(group, self._executor)
            self._flipped -= keys - moved.keys()
        return moved

    def _stood(self, member: Member, held: Mapping[str, TagLock]) -> Moved:
        """Return how a tag moved: consumers may have heard of it, and whoever moved it since did so later."""
        with stopping(member):
            return member.move.stood(held[member.reference], HeldLocks(held, self._locks))

    def _stage_all(self, held: Mapping[str, TagLock]) -> list[Staged]:
        holders = Holders({member.reference for member in self._members if member.intent is not None})

        def stage(member: Member) -> Staged:
            with stopping(member):
                member.move.prepare()
                staged = member.move.stage(held[member.reference])
                if not staged.is_right:
                    if not member.irreversible:
                        member.move.ensure_reversible(staged, holders)
                    member.move.store(staged)
                member.move.bring(staged, HeldLocks(held, self._locks))
                return staged

        return list(self._executor.map(stage, self._members))

    def _announce(self, member: Member, held: Mapping[str, TagLock], staged: Staged) -> TagIntent | None:
        with stopping(member):
            if staged.is_right:
                # Once the release begins, what an earlier delivery noted would count as written.
                member.move.found(staged.decision)
                return None
            return member.move.announce(held[member.reference], staged)

    def _back(
        self, held: Mapping[str, TagLock], error: ImagePusherError, culprits: Sequence[Member], may_retry: MayRetry
    ) -> Ended:
        """Put the moved tags back, and return the reports of all tags.

        Raises LockLost, ReleaseUnsettled, and the error if the release is tried again.
        """
        begun = has_begun(self._journal.read())
        passes = error.passes and may_retry(error)
        undone = self._put_all_back(held, error, "return" if passes else "back", may_retry)
        if passes and not _failed(undone):
            self._let_begin_again(held)
            raise error
        # Before a tag moved, whatever happened to it since an earlier try is none of this release's work.
        if not begun:
            # A delivery that stands still must not begin with a release that has been reported.
            self._journal.note("never", error.message)
        found = {tag.reference: tag for tag in undone.tags}
        told = found if begun else {}
        reports = {
            member.key: self._report(member, told.get(member.reference), error, is_culprit=member in culprits)
            for member in self._members
        }
        restored = [
            member
            for member in self._members
            if (tag := found.get(member.reference)) is not None and tag.action != "failed"
        ]
        return Ended(reports=reports, restored=restored)

    def _put_all_back(
        self, held: Mapping[str, TagLock], error: ImagePusherError, direction: Direction, may_retry: MayRetry
    ) -> contract.Undo:
        """Put the moved tags back; raises LockLost, and ReleaseUnsettled if that is tried again.

        Before the release begins, only what was made beside the tags is deleted.
        """
        for lock in held.values():
            lock.ensure()
        for member in self._members:
            member.move.recall()
        begun = has_begun(self._journal.read())
        noted = {
            member.reference: (self._change(member, held) if begun else None) or member.move.memory.forgotten()
            for member in self._members
            if begun or not member.follows
        }
        intents = {reference: intent for reference, intent in noted.items() if intent is not None}
        if begun:
            self._journal.note(direction, error.message)
            for member in self._members:
                if (change := intents.get(member.reference)) is not None:
                    member.move.put_back_to(change.old_digest)
        undone = self._put_back(intents, HeldLocks(held, self._locks))
        stuck = _failed(undone)
        if stuck:
            for lock in held.values():
                lock.ensure()
            later = unsettled(stuck, error.retry_after)
            if may_retry(later):
                raise later
        return undone

    def _change(self, member: Member, held: Mapping[str, TagLock]) -> TagIntent | None:
        """Return the change to take back: the last one, or that of a late write after the tag had been put back."""
        try:
            return member.move.written_late(held[member.reference]) or member.intent
        except DestinationError as error:
            LOG.warning("%s: whether a late write replaced anything cannot be told: %s", member.reference, error)
            return member.intent

    def _let_begin_again(self, held: Mapping[str, TagLock]) -> None:
        """Note that nothing of the release is left, so that the next delivery begins with it anew; raises LockLost."""
        for lock in held.values():
            lock.ensure()
        for member in self._members:
            member.move.forget()
        self._flipped.clear()
        self._journal.note("again")

    def _report(
        self, member: Member, undone: contract.TagUndo | None, error: ImagePusherError, *, is_culprit: bool
    ) -> contract.TagReport:
        """Return the report of a tag of a release that does not stand."""
        left = member.move.protection_left()
        failed = unmoved(member.tag, error, protective_tag=left)
        if undone is not None and undone.action in {"failed", "moved"}:
            return msgspec.structs.replace(failed, new_digest=undone.digest, error=untold(undone))
        if is_culprit:
            now = undone.digest if undone is not None else failed.old_digest
            return msgspec.structs.replace(failed, old_digest=now, new_digest=now)
        intent = member.intent
        if intent is None or member.key not in self._flipped:
            return unmoved(member.tag, Withheld(f"The release does not stand: {error.message}"), "skipped", left)
        return msgspec.structs.replace(
            failed,
            action="rolled_back",
            old_digest=intent.old_digest,
            new_digest=intent.old_digest,
            error=contract.Fault.of(RolledBack(f"The release does not stand: {error.message}")),
        )


def _failed(undone: contract.Undo) -> list[contract.TagUndo]:
    return [tag for tag in undone.tags if tag.action == "failed"]


def _flip(member: Member, lock: TagLock, staged: Staged, intent: TagIntent | None) -> Moved:
    if intent is None:
        return member.move.leave(lock, staged)
    # The first flip may have had a collected part copied again; the second flip reads the tag anew.
    moved = member.move.flip(lock, staged, intent) or member.move.flip(lock, staged, intent)
    if moved is None:
        raise TagConflict(f"{member.reference} was written by someone else while the release was under way.")
    return moved
