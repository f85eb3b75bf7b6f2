"""Move the tags of a release forward, under all of their locks (BEHAVIOUR 10.1)."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor

from tasks.errors import TagConflict
from tasks.transfer.ports import TagIntent, TagLock, TagLocks
from tasks.transfer.publish.grouped_tags import Flip, groups, write
from tasks.transfer.publish.held_locks import HeldLocks
from tasks.transfer.publish.journal import Journal, has_begun
from tasks.transfer.publish.moved import Moved
from tasks.transfer.publish.release_member import Member, stopping
from tasks.transfer.publish.stage import Staged
from tasks.transfer.undo.reversible import ensure_reversible
from tasks.transfer.undo.tags_of_manifest import Holders


class Forward:
    """The move of all tags of a release; the keys of those that may have moved are added to `flipped`."""

    def __init__(
        self,
        members: Sequence[Member],
        held: Mapping[str, TagLock],
        locks: TagLocks,
        journal: Journal,
        executor: Executor,
        flipped: set[str],
    ) -> None:
        self._members = members
        self._held = held
        self._locks = HeldLocks(held, locks)
        self._journal = journal
        self._executor = executor
        self._flipped = flipped

    def run(self) -> dict[str, Moved]:
        """Stage all tags, then flip them; raises Stopped, LockLost, LockUnavailable, StateUnavailable."""
        if self._journal.again() == "stands":
            return {member.key: self._stood(member) for member in self._members}
        if not has_begun(self._journal.again()):
            self._journal.claim(list(self._held))
        staged = dict(zip((member.key for member in self._members), self._stage_all(), strict=True))
        # A tag to which several items go has one intent at a time: those of the others follow before they write it.
        firsts: dict[str, Member] = {}
        for member in self._members:
            firsts.setdefault(member.reference, member)
        intents = {member.key: self._announce(member, staged[member.key]) for member in firsts.values()}
        self._journal.note("forward")
        moved = self._together(staged, intents)
        written = {member.reference for member in self._members if member.key in moved}
        for member in self._members:
            if member.key in moved:
                continue
            with stopping(member):
                lock = self._held[member.reference]
                if member.reference in written:
                    # Another item of the release has just written this tag (BEHAVIOUR 1.5).
                    member.move.work.recall()
                    staged[member.key] = member.move.stage(lock)
                    member.move.bring(staged[member.key], self._locks)
                    intents[member.key] = self._announce(member, staged[member.key])
                self._flipped.add(member.key)
                moved[member.key] = _flip(member, lock, staged[member.key], intents[member.key])
                written.add(member.reference)
        self._journal.note("stands")
        return moved

    def _together(self, staged: Mapping[str, Staged], intents: Mapping[str, TagIntent | None]) -> dict[str, Moved]:
        """Flip the tags that the registry can write several of at once; return the moves of those that it wrote."""
        flips = [
            Flip(member, self._held[member.reference], staged[member.key], intent)
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

    def _stood(self, member: Member) -> Moved:
        """Return how a tag moved: consumers may have heard of it, and whoever moved it since did so later."""
        with stopping(member):
            return member.move.stood(self._held[member.reference], self._locks)

    def _stage_all(self) -> list[Staged]:
        holders = Holders({member.reference for member in self._members if member.intent is not None})

        def stage(member: Member) -> Staged:
            with stopping(member):
                member.move.prepare()
                staged = member.move.stage(self._held[member.reference])
                if not staged.is_right:
                    if not member.irreversible:
                        target, new = member.tag.reference, staged.decision.digest
                        ensure_reversible(member.move.repository, target, staged.base, new, holders)
                    member.move.store(staged)
                member.move.bring(staged, self._locks)
                return staged

        return list(self._executor.map(stage, self._members))

    def _announce(self, member: Member, staged: Staged) -> TagIntent | None:
        with stopping(member):
            if staged.is_right:
                # Once the release begins, what an earlier delivery noted would count as written.
                member.move.work.found(staged.decision)
                return None
            intent = member.move.announce(self._held[member.reference], staged)
            if intent is None:
                raise _conflict(member)
            return intent


def _flip(member: Member, lock: TagLock, staged: Staged, intent: TagIntent | None) -> Moved:
    if intent is None:
        return member.move.leave(lock, staged)
    # The first flip may have had a collected part copied again; the second flip reads the tag anew.
    moved = member.move.flip(lock, staged, intent) or member.move.flip(lock, staged, intent)
    if moved is None:
        raise _conflict(member)
    return moved


def _conflict(member: Member) -> TagConflict:
    return TagConflict(f"{member.reference} was written by someone else while the release was under way.")
