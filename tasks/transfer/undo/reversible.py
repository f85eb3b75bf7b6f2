"""Whether a tag of a release could be put back to what it holds now (BEHAVIOUR 10.1)."""

from collections.abc import Iterator

import msgspec

from tasks import contract
from tasks.errors import ImagePusherError, Irreversible, ManifestInvalid, NotFound, Side
from tasks.oci.digest import Digest
from tasks.oci.reference import Reference
from tasks.registry.repository import Registries, Repository
from tasks.transfer.plan.conditions import accepted
from tasks.transfer.plan.decide import Current
from tasks.transfer.plan.new_tags import deletes, undeletable
from tasks.transfer.plan.plan import Plan, PlannedTag, ResolvedItem
from tasks.transfer.undo.tags_of_manifest import Holders


def ensure_reversible(
    repository: Repository, reference: Reference, held: Current | None, new: Digest, holders: Holders
) -> None:
    """Raise Irreversible unless a tag that is about to hold `new` can be put back to what it holds now."""
    reason: object = None
    if held is not None:
        reason = keeps_old(reference, held.digest, held.content)
    elif reference.digest is None:
        reason = deletable(repository, reference, new, holders)
    if isinstance(reason, Irreversible):
        raise reason


def keeps_old(reference: Reference, old: Digest, content: bytes) -> Irreversible | None:
    """Return the reason against moving a tag whose replaced manifest has no bytes, None if it has some."""
    return None if content else Irreversible(f"{reference} holds {old}, of which no bytes can be kept.")


def deletable(
    repository: Repository, reference: Reference, new: Digest, holders: Holders
) -> Irreversible | contract.Notice | None:
    """Return the reason against a new tag that could not be deleted again, None for one that could.

    A client that only reads may not learn it, nor does anyone of a repository that is absent: then a notice says so.
    Raises RegistryError.
    """
    found = deletes(repository)
    error = undeletable(reference, found)
    if error is not None:
        return error
    if found == "unknown":
        return contract.Notice(
            "irreversible_unknown",
            f"{reference} is new: before the push, {repository.registry} does not tell whether it deletes it again. If"
            " not, the release is refused before a tag moves.",
        )
    other = holders.find(repository, new) if found == "manifests" else None
    if other is None:
        return None
    return Irreversible(f"{reference} is new, its registry deletes manifests only, and {other} holds {new}, too.")


def preview_release(plan: Plan, registries: Registries) -> Plan:
    """Return the plan of a dry run, with what would keep tags of its releases from being put back."""
    if plan.atomic is None:
        return plan
    look = _ReleasePreview(registries)
    items = [
        msgspec.structs.replace(item, tags=tuple(look.tags(item))) if isinstance(item, ResolvedItem) else item
        for item in plan.items
    ]
    return msgspec.structs.replace(plan, items=items)


class _ReleasePreview:
    """Look at the tags of a dry run, by reads and by a DELETE of what is not there, with pull scope only."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._holders = Holders()
        # Of several items at one tag, only the first one replaces what the tag holds now.
        self._looked_at: set[Reference] = set()

    def tags(self, item: ResolvedItem) -> Iterator[PlannedTag]:
        """Yield the tags of an item, each with its error or notice."""
        for tag in item.tags:
            found = self._look(tag) if self._is_to_move(tag) else None
            if item.wanted.irreversible == "accept":
                found = _accepted(found)
            if isinstance(found, contract.Notice):
                yield msgspec.structs.replace(tag, warnings=[*tag.warnings, found])
            else:
                yield msgspec.structs.replace(tag, error=tag.error or found)

    def _is_to_move(self, tag: PlannedTag) -> bool:
        if tag.error is not None or tag.action == "unchanged" or tag.reference in self._looked_at:
            return False
        self._looked_at.add(tag.reference)
        return True

    def _look(self, tag: PlannedTag) -> ImagePusherError | contract.Notice | None:
        repository = self._registries.repository(*tag.reference.place, "destination")
        try:
            if tag.old_digest is None:
                return deletable(repository, tag.reference, Digest(tag.new_digest or ""), self._holders)
            return keeps_old(tag.reference, tag.old_digest, _content(repository, tag.old_digest))
        except ImagePusherError as error:
            return error.on(Side.DESTINATION)


def _accepted(found: ImagePusherError | contract.Notice | None) -> contract.Notice | None:
    """Return the notice of a tag that moves although it could not be put back."""
    return accepted(found) if isinstance(found, Irreversible) else None


def _content(repository: Repository, digest: Digest) -> bytes:
    try:
        return repository.fetch_manifest(digest).content
    except (NotFound, ManifestInvalid):
        return b""
