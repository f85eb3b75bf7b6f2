"""The releases of a push: which there are, and what becomes of the tags of each (BEHAVIOUR 10.1)."""

from collections.abc import Mapping, Sequence
from functools import partial

from tasks import contract
from tasks.errors import ImagePusherError, PushAbandoned, PushCancelled, PushCancelledByUser, PushUnknown
from tasks.transfer.plan.plan import Plan, PlannedTag, ResolvedItem
from tasks.transfer.ports import MayRetry, TagIntent, TagLocks
from tasks.transfer.publish.ended import Ended
from tasks.transfer.publish.journal import has_begun
from tasks.transfer.publish.moves import Moves
from tasks.transfer.publish.parts import Publishing
from tasks.transfer.publish.records import LedgerJournal
from tasks.transfer.publish.release import Release
from tasks.transfer.publish.release_member import Member
from tasks.transfer.publish.report import tag_key, unmoved
from tasks.transfer.publish.tag_reports import TagReports
from tasks.transfer.undo.sharing import Sharing
from tasks.transfer.undo.undo import undo


class Releases:
    """The releases of one push: one of all its tags, or one of those of each item.

    `withheld` has for each item the error that withholds its tags.
    """

    def __init__(
        self,
        parts: Publishing,
        plan: Plan,
        withheld: Sequence[ImagePusherError | None],
        moves: Moves,
        reports: TagReports,
        may_retry: MayRetry,
    ) -> None:
        self._parts = parts
        self._plan = plan
        self._withheld = withheld
        self._moves = moves
        self._reports = reports
        self._may_retry = may_retry

    def run(self) -> None:
        """Move the tags of each release together, or none of them."""
        for name, numbers in self._all():
            self._release(name, numbers)

    def put_back(self, error: ImagePusherError) -> None:
        """Put back the releases that have begun and do not stand.

        `error` is the reason why the push does not continue with them.
        """
        for name, numbers in self._all():
            if self._may_have_begun(name, numbers):
                self._release(name, numbers, error)

    def _may_have_begun(self, name: str, numbers: Sequence[int]) -> bool:
        """Tell whether a release has begun to move its tags, or may have made protective tags for that."""
        if has_begun(LedgerJournal(self._parts.ledger, self._plan.push_id, name).read()):
            return True
        references = (str(tag.reference) for number in numbers for tag in self._plan.items[number].tags)
        noted = (self._moves.noted.get(reference) for reference in references)
        return any(intent is not None and not intent.settled and intent.beside() for intent in noted)

    def _all(self) -> list[tuple[str, list[int]]]:
        """Return the releases of the push, each with its name and the numbers of its items.

        A release with a withheld item is left out: its tags stay.
        """
        numbers = [number for number, withheld in enumerate(self._withheld) if withheld is None]
        if self._plan.atomic == "item":
            return [(f"item {number}", [number]) for number in numbers]
        return [("push", numbers)] if numbers else []

    def _release(self, name: str, numbers: Sequence[int], given_up: ImagePusherError | None = None) -> None:
        """Move the tags of some items together, or none of them, and record their reports (BEHAVIOUR 10.1)."""
        parts, push_id = self._parts, self._plan.push_id
        # A tag that holds a newer image takes no part.
        pairs = [(number, tag) for number in numbers for tag in self._plan.items[number].tags if tag.error is None]
        open_pairs = [(number, tag) for number, tag in pairs if tag_key(number, tag) not in self._reports.done]
        journal = LedgerJournal(parts.ledger, push_id, name)
        if not open_pairs and not self._is_unforgotten(journal, pairs):
            return
        if parts.cancelled.is_set():
            raise PushCancelled("The worker is shutting down.")
        if given_up is None and not has_begun(journal.read()) and parts.ledger.is_cancelled(push_id):
            if not self._may_have_begun(name, numbers):
                # All of its tags stay as they are.
                return
            told = f"The push was cancelled before the tags of the {name} were moved."
            given_up = PushCancelledByUser(f"{told} `imagepusher retry {push_id}` completes it.")
        # Tags whose reports were recorded take part too: their state is read from the tags themselves.
        follows = self._moved_before(name, {str(tag.reference) for _, tag in pairs})
        members = [self._member(number, tag, follows=str(tag.reference) in follows) for number, tag in pairs]
        try:
            ended = self._ended(Release(members, parts.locks, journal, self._put_back, parts.executor), name, given_up)
        except PushAbandoned as error:
            error.message += " Whether its tags were moved cannot be told."
            ended = Ended(reports={tag_key(number, tag): self._reports.left(tag, error) for number, tag in open_pairs})
        reports = {
            tag_key(number, tag): self._reports.receipted(self._resolved(number), tag, moved)
            for number, tag in open_pairs
            if (moved := ended.moved.get(tag_key(number, tag))) is not None
        }
        for number, tag in open_pairs:
            key = tag_key(number, tag)
            moved = ended.moved.get(key)
            report = ended.reports.get(key)
            if moved is not None:
                report = self._reports.told(self._resolved(number), tag, moved, reports[key])
            self._reports.record(number, tag, report or unmoved(tag, PushUnknown(f"{tag.reference} took no part.")))
        ended.forget()

    def _is_unforgotten(self, journal: LedgerJournal, pairs: Sequence[tuple[int, PlannedTag]]) -> bool:
        """Tell whether a delivery that put the release back, and recorded that, was killed before it forgot it."""
        intents = (self._moves.noted.get(str(tag.reference)) for _, tag in pairs)
        return journal.read() == "back" and any(intent is not None and intent.changes for intent in intents)

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
        for other, numbers in self._all():
            theirs = {str(tag.reference) for number in numbers for tag in self._plan.items[number].tags} & references
            journal = LedgerJournal(self._parts.ledger, self._plan.push_id, other)
            if other != name and theirs and has_begun(journal.read()):
                moved |= theirs
        return moved

    def _member(self, number: int, tag: PlannedTag, *, follows: bool) -> Member:
        accepts = self._plan.items[number].wanted.irreversible == "accept"
        move = self._moves.move(number, tag)
        return Member(tag_key(number, tag), tag, move, irreversible=accepts, follows=follows)

    def _put_back(self, intents: Mapping[str, TagIntent], locks: TagLocks) -> contract.Undo:
        ledger, push_id = self._parts.ledger, self._plan.push_id
        kept = partial(ledger.content, push_id)
        return undo(push_id, intents, self._parts.registries, locks, kept, sharing=Sharing(ledger, push_id))
