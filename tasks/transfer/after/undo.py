"""Restore the tags of a push, except tags that changed after the push (BEHAVIOUR 6.6)."""

import logging
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Final, Literal

from tasks import contract
from tasks.errors import (
    CopyIncomplete,
    DestinationChildMissing,
    ImagePusherError,
    IndexEmpty,
    LockLost,
    ManifestInvalid,
    NotFound,
    RequestRefused,
    Retry,
    Side,
    TagConflict,
)
from tasks.oci import media_types
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest, parse_digest
from tasks.oci.reference import Reference
from tasks.oci.referrers import fallback_tag
from tasks.registry.repository import Registries, Repository
from tasks.transfer.after.sharing import ALONE, Sharing, deleting
from tasks.transfer.graph import Node, parse_node, walk
from tasks.transfer.plan.along import MadeList
from tasks.transfer.plan.conditions import held
from tasks.transfer.plan.look import judged_media_type
from tasks.transfer.ports import MadeReceipt, TagIntent, TagLock, TagLocks, Written

LOG: Final = logging.getLogger(__name__)


HoldOf = Callable[[str], contract.Hold | None]


def nobody_holds(_: str) -> None:
    """Return None: no operator froze the tag."""


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
    marks = [_Mark(Reference.parse(text), intent) for text, intent in intents.items()]
    old = [mark for mark in marks if mark.intent.old_digest is not None]
    new = [mark for mark in marks if mark.intent.old_digest is None]
    undoing = _Undoing(registries, locks, content_of, hold_of, sharing)
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
    return contract.Undo(push_id=push_id, state=state_of(tags), tags=tags)


def preview_undo(
    push_id: str, intents: Mapping[str, TagIntent], registries: Registries, hold_of: HoldOf = nobody_holds
) -> contract.Undo:
    """Return the results that `undo` would have for each tag; writes nothing and asks for pull scope only."""
    ways: dict[str, str | None] = {}
    tags = [_look(_Mark(Reference.parse(text), intent), registries, hold_of, ways) for text, intent in intents.items()]
    return contract.Undo(push_id=push_id, state=state_of(tags), tags=tags)


def _look(mark: "_Mark", registries: Registries, hold_of: HoldOf, ways: dict[str, str | None]) -> contract.TagUndo:
    """Return the result that an undo would have for a tag; `ways` are what each repository deletes, once known."""
    reference = mark.reference
    repository = registries.repository(reference.registry, reference.repository, "destination")
    try:
        described = repository.resolve(reference.identifier)
        found = described.digest if described else None
        if found in mark.ours and found != mark.intent.old_digest:
            _ensure_free(str(reference), hold_of)
            if mark.intent.old_digest is None:
                _ensure_deletable(reference, repository, ways)
    except ImagePusherError as error:
        return _stuck(str(reference), error)
    return _put_back(mark) if found in mark.ours else _moved(str(reference), found)


def _ensure_deletable(reference: Reference, repository: Repository, ways: dict[str, str | None]) -> None:
    """Raise RequestRefused if the registry is known to delete nothing."""
    name = str(repository)
    if name not in ways:
        ways[name] = repository.deletes()
    if ways[name] is None:
        raise RequestRefused(
            f"{reference} is new, and its registry deletes neither tags nor manifests. Delete it by the registry's own"
            " means."
        )


def _stuck(reference: str, error: ImagePusherError) -> contract.TagUndo:
    """Return the result of a tag that cannot be put back; raises the error if nothing of the tag is at fault."""
    if error.retry is Retry.GIVE_BACK:
        raise error
    fault = contract.Fault.of(error.on(Side.DESTINATION))
    return contract.TagUndo(reference=reference, action="failed", error=fault)


def _put_back(mark: "_Mark") -> contract.TagUndo:
    """Return the result of a tag that holds its old manifest again."""
    action: Literal["deleted", "restored"] = "deleted" if mark.intent.old_digest is None else "restored"
    return contract.TagUndo(reference=str(mark.reference), action=action, digest=mark.intent.old_digest)


def state_of(tags: Iterable[contract.TagUndo]) -> contract.State:
    """Return the state of an undo from the results of its tags."""
    failed = [tag.action in {"failed", "moved", "skipped"} for tag in tags]
    if not any(failed):
        return "succeeded"
    return "failed" if all(failed) else "partial"


@dataclass(frozen=True)
class _Mark:
    """A tag, and the change that the push made to it."""

    reference: Reference
    intent: TagIntent
    protects: Reference | None = None
    """The tag for which a protective tag was made."""

    @property
    def locked(self) -> str:
        """The full name of the tag whose lock is held while this one is changed."""
        return str(self.protects or self.reference)

    def beside(self, tag: str, digest: str) -> "_Mark":
        """Return the mark of another tag that the push made in the same repository."""
        reference = Reference(self.reference.registry, self.reference.repository, tag)
        return _Mark(reference, TagIntent(action="copied", old_digest=None, new_digest=digest))

    @property
    def ours(self) -> set[str | None]:
        """The digests that the tag may hold if nobody else moved it; a new digest "" stands for no tag."""
        return {
            self.intent.old_digest,
            self.intent.new_digest or None,
            self.intent.written_before or self.intent.old_digest,
        }

    def protective(self) -> "list[_Mark]":
        """Return the protective tags that were written along with this tag: they were new."""
        return [
            _Mark(
                Reference(self.reference.registry, self.reference.repository, tag),
                TagIntent(action="merged", old_digest=None, new_digest=digest),
                protects=self.reference,
            )
            for tag, digest in self.intent.beside().items()
        ]


class _Undoing:
    """The state of one undo: `doomed` are the tags still to be deleted, by the digest that the push gave them."""

    def __init__(
        self,
        registries: Registries,
        locks: TagLocks,
        content_of: Callable[[str], bytes | None],
        hold_of: HoldOf,
        sharing: Sharing,
    ) -> None:
        self._hold_of = hold_of
        self._sharing = sharing
        self.done: dict[str, contract.TagUndo] = {}
        self._registries = registries
        self._locks = locks
        self._content_of = content_of
        self._doomed: dict[str, str] = {}
        self._needs: dict[str, _Needs] = {}

    def protective(self, marks: Iterable["_Mark"]) -> list["_Mark"]:
        """Return the protective tags of the tags that have been restored."""
        done = (mark for mark in marks if self.done[str(mark.reference)].error is None)
        return [tag for mark in done for tag in mark.protective()]

    def own(self, mark: "_Mark") -> list["_Mark"]:
        """Return the protective tags of a tag that no other push needs."""
        return [tag for tag in mark.protective() if not self._sharing.is_shared(str(tag.reference))]

    def delete(self, marks: Iterable["_Mark"], later: Iterable["_Mark"] = ()) -> None:
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

    def delete_lists(self, marks: Iterable["_Mark"]) -> None:
        """Delete the lists of referrers that the push made, if nobody added to them and no tag holds their image.

        The same goes for its receipts. All other referrers stay: they may be another signer's (BEHAVIOUR 9.3, 9.7).
        """
        by_repository: dict[str, list[_Mark]] = {}
        for mark in marks:
            undone = self.done[str(mark.reference)].action in {"deleted", "restored"}
            if undone and (mark.intent.lists or mark.intent.receipts):
                by_repository.setdefault(mark.reference.name, []).append(mark)
        for name, gone in by_repository.items():
            lists: defaultdict[str, list[MadeList]] = defaultdict(list)
            for each in (each for mark in gone for each in mark.intent.lists):
                lists[each.tag].append(each)
            try:
                repository = self._repository(gone[0])
                held = self._held(repository, lists.keys())
                for tag, made in lists.items():
                    if made[-1].root not in held:
                        self.delete([gone[0].beside(tag, _state_of_list(repository, made))])
                self._delete_receipts(repository, [each for mark in gone for each in mark.intent.receipts], held)
            except ImagePusherError as error:
                if error.retry is Retry.GIVE_BACK:
                    raise
                LOG.warning("%s: what refers to images that are gone stays: %s", name, error.message)

    def _delete_receipts(self, repository: Repository, receipts: Iterable[MadeReceipt], held: Container[str]) -> None:
        """Delete receipts of images that no tag holds, unless something that is not of this push refers to them too."""
        by_subject: defaultdict[Digest, list[MadeReceipt]] = defaultdict(list)
        for each in receipts:
            by_subject[each.subject].append(each)
        for subject, ours in by_subject.items():
            own = {digest for each in ours for digest in (each.digest, *each.beside)}
            if subject not in held and _refer_alone(repository, subject, own):
                for each in ours:
                    repository.delete_manifest(each.digest)

    def _held(self, repository: Repository, but: Container[str]) -> set[str]:
        """Return the manifests that the tags of a repository hold or need, except the tags `but`."""
        held: set[str] = set()
        for tag in repository.tags():
            described = None if tag in but else repository.resolve(tag)
            if described is not None:
                held |= {described.digest, *self._needs_of(repository).all_of(described.digest)}
        return held

    def put_back(self, mark: "_Mark") -> contract.TagUndo:
        """Restore or delete one tag under its lock, and note the result."""
        self.done[str(mark.reference)] = undone = self._put_back(mark)
        return undone

    def _put_back(self, mark: "_Mark") -> contract.TagUndo:
        text = str(mark.reference)
        repository = self._repository(mark)
        if not mark.intent.changes:
            return _put_back(mark)
        try:
            with self._locks.hold(mark.locked) as lock:
                if mark.protects is not None and self._sharing.give_up(text):
                    return _put_back(mark)
                described = repository.resolve(mark.reference.identifier)
                found = described.digest if described else None
                if found not in mark.ours:
                    return _moved(text, found)
                if found != mark.intent.old_digest:
                    _ensure_free(text, self._hold_of)
                    lock.ensure()
                    with self._protecting(mark, repository):
                        self._write(mark, repository, lock, over=described.digest if described else None)
                if mark.intent.old_digest is None and mark.protects is None:
                    # A late write of our own must not bring back what was deleted, here or with another tag (7.6).
                    lock.note_deleted()
        except ImagePusherError as error:
            return _stuck(text, error)
        return _put_back(mark)

    def _protecting(self, mark: "_Mark", repository: Repository) -> AbstractContextManager[None]:
        """Keep a protective tag that another push begins to need meanwhile."""
        if mark.protects is None:
            return nullcontext()
        return deleting(repository, mark.reference.identifier, lambda: self._sharing.is_shared(str(mark.reference)))

    def _write(self, mark: "_Mark", repository: Repository, lock: TagLock, over: Digest | None) -> None:
        if mark.intent.old_digest is None:
            self._delete(mark, repository, over or parse_digest(mark.intent.new_digest))
            return
        old = self._old(mark.intent, repository)
        lock.note_writing(old.digest, lock.record().last)
        try:
            repository.push_manifest(mark.reference.identifier, old.content, old.media_type, over=over)
        except CopyIncomplete as error:
            raise DestinationChildMissing(
                f"{mark.reference} cannot be put back to {old.digest}: the registry has lost parts of it."
                f" {error.message}"
            ) from None
        try:
            # The process may have stood still before the write, for longer than the lease of its lock.
            lock.ensure()
        except LockLost:
            self._mend(mark, repository, old)
            raise
        lock.note_written(old)

    def _mend(self, mark: "_Mark", repository: Repository, late: Written) -> None:
        """Write again what a late write of an old manifest replaced; raises LockLost, LockUnavailable."""
        with self._locks.hold(mark.locked) as lock:
            # A release holds the lock that was lost, and looks at its tags again when it has taken all locks again.
            lock.ensure()
            described = repository.resolve(mark.reference.identifier)
            held = described.digest if described is not None else None
            lost = lock.record().overwritten_by(held)
            if held != late.digest or lost is None:
                return
            kept = lock.kept(lost)
            if kept is None:
                fetched = repository.fetch_manifest(lost)
                kept = Written(lost, judged_media_type(fetched), fetched.content)
            LOG.warning("%s: a late write of an undo replaced %s, which is written again", mark.reference, lost)
            repository.push_manifest(mark.reference.identifier, kept.content, kept.media_type, over=held)
            lock.note_written(kept)

    def _old(self, intent: TagIntent, repository: Repository) -> Written:
        """Return the replaced manifest, from the registry or from the kept bytes (BEHAVIOUR 6.6)."""
        digest = str(intent.old_digest)
        try:
            fetched = repository.fetch_manifest(digest)
        except NotFound:
            content = self._content_of(digest)
            if content is None:
                raise
            return Written(digest, intent.old_media_type, content)
        return Written(digest, judged_media_type(fetched), fetched.content)

    def _delete(self, mark: "_Mark", repository: Repository, digest: Digest) -> None:
        """Delete a tag; if the registry can only delete digests, delete the digest, unless another tag needs it."""
        if repository.delete_tag(mark.reference.identifier):
            return
        needing = self._needing(repository, mark.reference, digest)
        if needing:
            raise RequestRefused(
                f"{mark.reference.name} cannot delete a tag by name, and what it would delete instead, {digest},"
                f" is needed by {', '.join(needing)}. Delete {mark.reference.tag} by the registry's own means."
            )
        repository.delete_manifest(digest)

    def _needing(self, repository: Repository, reference: Reference, digest: Digest) -> list[str]:
        """Return the remaining tags of a repository that hold or need this digest."""
        needing = []
        for tag in repository.tags():
            described = repository.resolve(tag)
            if described is None or described.digest == self._doomed.get(f"{reference.name}:{tag}"):
                continue
            try:
                needed = described.digest == digest or digest in self._needs_of(repository).all_of(described.digest)
            except ManifestInvalid as error:
                raise RequestRefused(
                    f"{reference.name} cannot delete a tag by name, and whether {tag} needs {digest} cannot be told:"
                    f" {error.message} Delete {reference.tag} by the registry's own means."
                ) from None
            if needed:
                needing.append(tag)
        return needing

    def _count(self, mark: "_Mark") -> int:
        """Return the number of manifests that a tag needs: an index needs more than each manifest that it names."""
        if not mark.intent.new_digest:
            return 0
        try:
            return len(self._needs_of(self._repository(mark)).all_of(parse_digest(mark.intent.new_digest)))
        except ImagePusherError:
            return 0

    def _needs_of(self, repository: Repository) -> "_Needs":
        return self._needs.setdefault(str(repository), _Needs(repository))

    def _repository(self, mark: "_Mark") -> Repository:
        reference = mark.reference
        return self._registries.repository(reference.registry, reference.repository, "destination", push=True)


class _Needs:
    """The manifests that other manifests of a repository name; each is read once."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._read: dict[Digest, Node | None] = {}

    def all_of(self, digest: Digest) -> set[Digest]:
        """Return all manifests that a manifest needs, nested ones included; raises RegistryError, ManifestInvalid."""
        root = Descriptor("", digest, 0)
        return {entry.digest for node in walk(root, self._node) for entry in node.needs.manifests}

    def _node(self, each: Descriptor) -> Node | None:
        if each.digest not in self._read:
            self._read[each.digest] = self._fetch(each)
        return self._read[each.digest]

    def _fetch(self, each: Descriptor) -> Node | None:
        """Return an index; None for an image, which names no manifests, and for a missing manifest."""
        if each.media_type in media_types.IMAGES:
            return None
        try:
            fetched = self._repository.fetch_manifest(each.digest)
            media_type = judged_media_type(fetched)
            if media_type not in media_types.INDEXES:
                return None
            return parse_node(each, replace(fetched, media_type=media_type))
        except (NotFound, IndexEmpty):
            return None


def _state_of_list(repository: Repository, made: Sequence[MadeList]) -> str:
    """Return the digest of a list: the present one if nobody but the push has added to the list, else the last."""
    described = repository.resolve(made[-1].tag)
    ours = {each.digest for each in made}
    return described.digest if described is not None and described.digest in ours else made[-1].digest


def _refer_alone(repository: Repository, subject: Digest, own: Container[str]) -> bool:
    """Tell whether a client of the registry finds nothing that refers to a digest but `own`."""
    listed = repository.referrers(subject)
    if listed is not None:
        return all(each.digest in own for each in listed)
    described = repository.resolve(fallback_tag(subject))
    # GitLab answers for an absent list with the manifest of the digest in its name.
    return described is None or described.digest == subject


def _ensure_free(reference: str, hold_of: HoldOf) -> None:
    hold = hold_of(reference)
    if hold is not None:
        raise held(hold)


def _moved(reference: str, found: str | None) -> contract.TagUndo:
    conflict = TagConflict(f"{reference} is {found or 'gone'}, no longer what the push made it, and is left alone.")
    return contract.TagUndo(reference=reference, action="moved", digest=found, error=contract.Fault.of(conflict))
