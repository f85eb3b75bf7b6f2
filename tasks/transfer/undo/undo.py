"""Restore the tags of a push, except tags that changed after the push (BEHAVIOUR 6.6)."""

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from tasks import contract
from tasks.errors import (
    ImagePusherError,
    ManifestInvalid,
    NotDeletable,
    RequestRefused,
)
from tasks.oci.digest import Digest
from tasks.oci.reference import Reference
from tasks.registry.repository import Registries, Repository
from tasks.transfer.ports import NO_TAG, TagIntent, TagLock, TagLocks
from tasks.transfer.undo import undo_result
from tasks.transfer.undo.leftovers import Leftovers
from tasks.transfer.undo.mark import HoldOf, Mark, ensure_free, nobody_holds, undeletable
from tasks.transfer.undo.needs import Needs
from tasks.transfer.undo.restoring import Restoring
from tasks.transfer.undo.sharing import ALONE, Sharing, deleting

LOG: Final = logging.getLogger(__name__)


def undo(
    push_id: str,
    intents: Mapping[str, TagIntent],
    registries: Registries,
    locks: TagLocks,
    content_of: Callable[[str], bytes | None] = lambda _: None,
    hold_of: HoldOf = nobody_holds,
    sharing: Sharing = ALONE,
) -> contract.Undo:
    """Restore or delete each tag that the push wrote, and return the results; a repeat returns the same results.

    Tags are restored before others are deleted: a registry that can only delete by digest would delete both. If a tag
    is not restored, its protective tags stay: a later undo may need them. Those that another push needs (`sharing`)
    stay, too. `content_of` returns the kept bytes of a replaced manifest: some registries no longer serve it (Quay,
    zot). A tag that an operator froze stays as it is. Raises StateUnavailable.
    """
    marks = [Mark(Reference.parse(text), intent) for text, intent in intents.items()]
    old = [mark for mark in marks if mark.intent.old_digest is not None]
    new = [mark for mark in marks if mark.intent.old_digest is None]
    undoing = _Undoing(push_id, registries, locks, content_of, hold_of, sharing)
    for mark in old:
        undoing.put_back(mark)
    protective = undoing.protective(old)
    undoing.delete([*new, *protective], later=[tag for mark in new for tag in undoing.own(mark)])
    protective += undoing.protective(new)
    undoing.delete(protective)
    undoing.delete_lists([*new, *old])
    for mark in protective:
        left = undoing.done[str(mark.reference)].error
        if left is not None:
            LOG.warning("%s stays: %s", mark.reference, left.message)
    tags = [undoing.done[str(mark.reference)] for mark in (*old, *new)]
    return contract.Undo(push_id=push_id, state=undo_result.state_of(tags), tags=tags)


class _Undoing:
    """The state of one undo: `doomed` are the tags still to be deleted, by the digest that the push gave them."""

    def __init__(
        self,
        push_id: str,
        registries: Registries,
        locks: TagLocks,
        content_of: Callable[[str], bytes | None],
        hold_of: HoldOf,
        sharing: Sharing,
    ) -> None:
        self._push_id = push_id
        self._hold_of = hold_of
        self._sharing = sharing
        self.done: dict[str, contract.TagUndo] = {}
        self._registries = registries
        self._locks = locks
        self._restoring = Restoring(locks, content_of)
        self._doomed: dict[str, str] = {}
        self._needs: dict[str, Needs] = {}

    def protective(self, marks: Iterable[Mark]) -> list[Mark]:
        """Return the protective tags of the tags that have been restored."""
        done = (mark for mark in marks if self.done[str(mark.reference)].error is None)
        return [tag for mark in done for tag in mark.protective()]

    def own(self, mark: Mark) -> list[Mark]:
        """Return the protective tags of a tag that no other push needs."""
        return [tag for tag in mark.protective() if not self._sharing.is_shared(str(tag.reference))]

    def delete(self, marks: Iterable[Mark], later: Iterable[Mark] = ()) -> None:
        """Delete tags, an index before the manifests that it names: an index that stays still needs them.

        Tags that will be deleted `later` do not protect the manifests that they need.
        """
        marks = [mark for mark in marks if str(mark.reference) not in self.done]
        own = (mark for mark in marks if mark.protects is None or not self._sharing.is_shared(str(mark.reference)))
        self._doomed |= {str(mark.reference): mark.intent.new_digest for mark in (*own, *later)}
        for mark in sorted(marks, key=self._count, reverse=True):
            if self.put_back(mark).error is not None:
                for tag in (mark, *mark.protective()):
                    self._doomed.pop(str(tag.reference), None)

    def delete_lists(self, marks: Iterable[Mark]) -> None:
        """Delete the lists of referrers that the push made, if nobody added to them and no tag holds their image.

        The same goes for its receipts. All other referrers stay: they may be another signer's (BEHAVIOUR 9.3, 9.7).
        """
        by_repository: dict[str, list[Mark]] = {}
        for mark in marks:
            undone = self.done[str(mark.reference)].action in {"deleted", "restored"}
            if undone and (mark.intent.lists or mark.intent.receipts):
                by_repository.setdefault(mark.reference.name, []).append(mark)
        for name, gone in by_repository.items():
            try:
                repository = self._repository(gone[0])
                Leftovers(repository, gone, self._needs_of(repository)).delete(lambda mark: self.delete([mark]))
            except ImagePusherError as error:
                if error.gives_back:
                    raise
                LOG.warning("%s: what refers to images that are gone stays: %s", name, error.message)

    def put_back(self, mark: Mark) -> contract.TagUndo:
        """Restore or delete one tag under its lock, and note the result."""
        self.done[str(mark.reference)] = undone = self._put_back(mark)
        return undone

    def _put_back(self, mark: Mark) -> contract.TagUndo:
        text = str(mark.reference)
        repository = self._repository(mark)
        if not mark.intent.changes:
            return undo_result.put_back(mark)
        try:
            with self._locks.hold(mark.locked) as lock:
                if mark.protects is not None and self._sharing.give_up(text):
                    return undo_result.put_back(mark)
                found = repository.digest_at(mark.reference.identifier)
                if found not in mark.ours or self._is_anothers(mark, found, lock):
                    return undo_result.moved(text, found)
                if found != mark.intent.old_digest:
                    ensure_free(text, self._hold_of)
                    lock.ensure()
                    with self._protecting(mark, repository):
                        self._write(mark, repository, lock, over=found)
                if mark.intent.old_digest is None and mark.protects is None:
                    # A late write of our own must not bring back what was deleted, here or with another tag (7.6).
                    lock.note_deleted()
        except ImagePusherError as error:
            return undo_result.stuck(text, error)
        return undo_result.put_back(mark)

    def _is_anothers(self, mark: Mark, found: Digest | None, lock: TagLock) -> bool:
        """Tell whether another push wrote the image that this push announced, or wrote there before."""
        if found is None or found != mark.intent.new_digest or mark.protects is not None:
            return False
        return lock.record().push_that_wrote(found) not in {None, self._push_id}

    def _protecting(self, mark: Mark, repository: Repository) -> AbstractContextManager[None]:
        """Keep a protective tag that another push begins to need meanwhile."""
        if mark.protects is None:
            return nullcontext()
        return deleting(
            repository, mark.reference.identifier, lambda: self._sharing.is_needed_again(str(mark.reference))
        )

    def _write(self, mark: Mark, repository: Repository, lock: TagLock, over: Digest | None) -> None:
        if mark.intent.old_digest is not None:
            self._restoring.restore(mark, repository, lock, over)
            return
        digest = over or mark.intent.new_digest
        if mark.protects is not None:
            self._delete(mark, repository, digest)
            return
        with self._restoring.deleting(mark, repository, lock):
            self._delete(mark, repository, digest)

    def _delete(self, mark: Mark, repository: Repository, digest: Digest) -> None:
        """Delete a tag; if the registry can only delete digests, delete the digest, unless another tag needs it."""
        if repository.delete_tag(mark.reference.identifier):
            return
        needing = self._needing(repository, mark.reference, digest)
        if needing:
            raise NotDeletable(
                f"{mark.reference.name} deletes no tags by name. The manifest {digest}, which it would delete in place"
                f" of {mark.reference.tag}, is needed by {', '.join(needing)}."
            )
        try:
            repository.delete_manifest(digest)
        except RequestRefused as error:
            if error.code != RequestRefused.code:
                raise
            raise undeletable(mark.reference, error.message) from None

    def _needing(self, repository: Repository, reference: Reference, digest: Digest) -> list[str]:
        """Return the remaining tags of a repository that hold or need this digest."""
        needing = []
        for tag in repository.tags():
            held = repository.digest_at(tag)
            if held is None or held == self._doomed.get(f"{reference.name}:{tag}"):
                continue
            try:
                needed = held == digest or digest in self._needs_of(repository).all_of(held)
            except ManifestInvalid as error:
                raise NotDeletable(
                    f"{reference.name} deletes no tags by name. Whether {tag} needs {digest}, which it would delete in"
                    f" place of {reference.tag}, cannot be told: {error.message}"
                ) from None
            if needed:
                needing.append(tag)
        return needing

    def _count(self, mark: Mark) -> int:
        """Return the number of manifests that a tag needs: an index needs more than each manifest that it names."""
        if mark.intent.new_digest == NO_TAG:
            return 0
        try:
            return len(self._needs_of(self._repository(mark)).all_of(mark.intent.new_digest))
        except ImagePusherError:
            return 0

    def _needs_of(self, repository: Repository) -> Needs:
        return self._needs.setdefault(str(repository), Needs(repository))

    def _repository(self, mark: Mark) -> Repository:
        reference = mark.reference
        return self._registries.repository(reference.registry, reference.repository, "destination", push=True)
