"""The reports of the tags of a release that does not stand (BEHAVIOUR 10.1). Pure."""

import msgspec

from tasks import contract
from tasks.errors import ImagePusherError, RolledBack, Withheld
from tasks.transfer.publish.release_member import Member
from tasks.transfer.publish.report import unmoved
from tasks.transfer.publish.unsettled_tags import untold


def report_of(
    member: Member,
    undone: contract.TagUndo | None,
    error: ImagePusherError,
    *,
    is_culprit: bool,
    was_flipped: bool,
    protective_tag: str | None,
) -> contract.TagReport:
    """Return the report of a tag of a release that `error` ended.

    `undone` is the result of putting the tag back. A culprit is a tag that caused the error. `protective_tag` is the
    name of one that is still there.
    """
    failed = unmoved(member.tag, error, protective_tag=protective_tag)
    if undone is not None and undone.action in {"failed", "moved"}:
        return msgspec.structs.replace(failed, new_digest=undone.digest, error=untold(undone))
    if is_culprit:
        now = undone.digest if undone is not None else failed.old_digest
        return msgspec.structs.replace(failed, old_digest=now, new_digest=now)
    intent = member.intent
    if intent is None or not was_flipped:
        withheld = Withheld(f"The release does not stand: {error.message}")
        return unmoved(member.tag, withheld, "skipped", protective_tag)
    return msgspec.structs.replace(
        failed,
        action="rolled_back",
        old_digest=intent.old_digest,
        new_digest=intent.old_digest,
        error=contract.Fault.of(RolledBack(f"The release does not stand: {error.message}")),
    )


def failed_tags(undone: contract.Undo) -> list[contract.TagUndo]:
    """Return the tags that could not be put back."""
    return [tag for tag in undone.tags if tag.action == "failed"]
