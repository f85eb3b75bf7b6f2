"""Put the tags of a push back to what they were, only where they still are what the push made them (BEHAVIOUR 6.6)."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from tasks import contract
from tasks.errors import ImagePusherError, RequestRefused, TagConflict
from tasks.oci.digest import Digest, parse_digest
from tasks.oci.reference import Reference
from tasks.registry.repository import Registries, Repository
from tasks.transfer.ports import TagIntent, TagLocks

LOG: Final = logging.getLogger(__name__)


def undo(push_id: str, intents: Mapping[str, TagIntent], registries: Registries, locks: TagLocks) -> contract.Undo:
    """Return what became of each tag that the push wrote; a repeat finds its own work and says the same.

    Tags are restored before others are deleted: a registry that can only delete by digest would take them along.
    """
    marks = [_Mark(Reference.parse(text), intent) for text, intent in intents.items()]
    new = [mark for mark in marks if mark.intent.old_digest is None]
    protective = [protective for mark in marks for protective in mark.protective()]
    undoing = _Undoing(registries, locks, frozenset(str(mark.reference) for mark in (*new, *protective)))
    tags = [undoing.put_back(mark) for mark in marks if mark.intent.old_digest is not None]
    tags += [undoing.put_back(mark) for mark in new]
    for mark in protective:
        left = undoing.put_back(mark).error
        if left is not None:
            LOG.warning("%s stays: %s", mark.reference, left.message)
    return contract.Undo(push_id=push_id, state=_state(tags), tags=tags)


def _state(tags: Iterable[contract.TagUndo]) -> contract.State:
    failed = [tag.action in {"failed", "moved"} for tag in tags]
    if not any(failed):
        return "succeeded"
    return "failed" if all(failed) else "partial"


@dataclass(frozen=True)
class _Mark:
    """A tag, and what the push did to it."""

    reference: Reference
    intent: TagIntent

    def protective(self) -> "list[_Mark]":
        """Return the protective tags that were written along with this one: they were new."""
        tags = dict(self.intent.overtaken)
        if self.intent.protective_tag is not None and self.intent.protective_tag_created:
            tags[self.intent.protective_tag] = self.intent.new_digest
        return [
            _Mark(
                Reference(self.reference.registry, self.reference.repository, tag),
                TagIntent(action="merged", old_digest=None, new_digest=digest),
            )
            for tag, digest in tags.items()
        ]


@dataclass(frozen=True)
class _Undoing:
    registries: Registries
    locks: TagLocks
    doomed: frozenset[str]

    def put_back(self, mark: _Mark) -> contract.TagUndo:
        """Restore or delete one tag under its lock."""
        text = str(mark.reference)
        repository = self.registries.repository(
            mark.reference.registry, mark.reference.repository, "destination", push=True
        )
        try:
            with self.locks.hold(text) as lock:
                described = repository.resolve(mark.reference.identifier)
                found = described.digest if described else None
                if found not in {mark.intent.old_digest, mark.intent.new_digest}:
                    return _moved(text, found)
                if found != mark.intent.old_digest:
                    lock.ensure()
                    self._write(mark, repository, over=described.digest if described else None)
        except ImagePusherError as error:
            return contract.TagUndo(reference=text, action="failed", error=contract.Fault(error.code, str(error)))
        action: Literal["deleted", "restored"] = "deleted" if mark.intent.old_digest is None else "restored"
        return contract.TagUndo(reference=text, action=action, digest=mark.intent.old_digest)

    def _write(self, mark: _Mark, repository: Repository, over: Digest | None) -> None:
        if mark.intent.old_digest is None:
            self._delete(mark, repository)
            return
        old = repository.fetch_manifest(mark.intent.old_digest)
        repository.push_manifest(mark.reference.identifier, old.content, old.media_type, over=over)

    def _delete(self, mark: _Mark, repository: Repository) -> None:
        """Delete a tag; where the registry can only delete digests, the digest, if all of its tags are to go."""
        if repository.delete_tag(mark.reference.identifier):
            return
        digest = mark.intent.new_digest
        others = [tag for tag in repository.tags() if f"{mark.reference.name}:{tag}" not in self.doomed]
        staying = [tag for tag in others if (described := repository.resolve(tag)) and described.digest == digest]
        if staying:
            raise RequestRefused(
                f"{mark.reference.name} cannot delete a tag by name, and deleting {digest} would take"
                f" {', '.join(staying)} along. Delete {mark.reference.tag} by the registry's own means."
            )
        repository.delete_manifest(parse_digest(digest))


def _moved(reference: str, found: str | None) -> contract.TagUndo:
    conflict = f"{reference} is {found or 'gone'}, no longer what the push made it, and is left alone."
    return contract.TagUndo(
        reference=reference, action="moved", digest=found, error=contract.Fault(TagConflict.code, conflict)
    )
