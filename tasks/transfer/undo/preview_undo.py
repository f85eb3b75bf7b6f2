"""The dry run of an undo."""

from collections.abc import Mapping

from tasks import contract
from tasks.errors import ImagePusherError
from tasks.oci.reference import Reference
from tasks.registry.repository import Registries, Repository
from tasks.transfer.ports import TagIntent
from tasks.transfer.undo import undo_result
from tasks.transfer.undo.mark import HoldOf, Mark, ensure_free, nobody_holds, undeletable


def preview_undo(
    push_id: str, intents: Mapping[str, TagIntent], registries: Registries, hold_of: HoldOf = nobody_holds
) -> contract.Undo:
    """Return the results that `undo` would have for each tag; writes nothing and asks for pull scope only."""
    ways: dict[str, str | None] = {}
    tags = [_look(Mark(Reference.parse(text), intent), registries, hold_of, ways) for text, intent in intents.items()]
    return contract.Undo(push_id=push_id, state=undo_result.state_of(tags), tags=tags)


def _look(mark: Mark, registries: Registries, hold_of: HoldOf, ways: dict[str, str | None]) -> contract.TagUndo:
    """Return the result that an undo would have for a tag; `ways` are what each repository deletes, once known."""
    reference = mark.reference
    repository = registries.repository(reference.registry, reference.repository, "destination")
    try:
        found = repository.digest_at(reference.identifier)
        if found in mark.ours and found != mark.intent.old_digest:
            ensure_free(str(reference), hold_of)
            if mark.intent.old_digest is None:
                _ensure_deletable(reference, repository, ways)
    except ImagePusherError as error:
        return undo_result.stuck(str(reference), error)
    return undo_result.put_back(mark) if found in mark.ours else undo_result.moved(str(reference), found)


def _ensure_deletable(reference: Reference, repository: Repository, ways: dict[str, str | None]) -> None:
    """Raise NotDeletable if the registry is known to delete nothing."""
    name = str(repository)
    if name not in ways:
        ways[name] = repository.deletes()
    if ways[name] is None:
        raise undeletable(reference)
