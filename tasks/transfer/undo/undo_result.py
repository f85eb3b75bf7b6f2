"""The result of an undo for one tag, and for all tags together."""

from collections.abc import Iterable
from typing import Literal

from tasks import contract
from tasks.errors import ImagePusherError, Side, TagMovedSince
from tasks.transfer.undo.mark import Mark


def put_back(mark: Mark) -> contract.TagUndo:
    """Return the result of a tag that holds its old manifest again."""
    action: Literal["deleted", "restored"] = "deleted" if mark.intent.old_digest is None else "restored"
    return contract.TagUndo(reference=str(mark.reference), action=action, digest=mark.intent.old_digest)


def moved(reference: str, found: str | None) -> contract.TagUndo:
    """Return the result of a tag that someone else moved to `found`, None for a tag that is gone."""
    state = f"holds {found}" if found else "is gone"
    conflict = TagMovedSince(
        f"{reference} {state}. Someone else moved it after the push; `imagepusher history {reference}` lists the pushes"
        " that moved it."
    )
    return contract.TagUndo(reference=reference, action="moved", digest=found, error=contract.Fault.of(conflict))


def stuck(reference: str, error: ImagePusherError) -> contract.TagUndo:
    """Return the result of a tag that cannot be put back; raises the error if nothing of the tag is at fault."""
    if error.gives_back:
        raise error
    fault = contract.Fault.of(error.on(Side.DESTINATION))
    return contract.TagUndo(reference=reference, action="failed", error=fault)


def state_of(tags: Iterable[contract.TagUndo]) -> contract.State:
    """Return the state of an undo from the results of its tags."""
    failed = [tag.action in {"failed", "moved", "skipped"} for tag in tags]
    if not any(failed):
        return "succeeded"
    return "failed" if all(failed) else "partial"
