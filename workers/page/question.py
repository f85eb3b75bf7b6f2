"""The confirmation of an action: its consequences, from the ledger and, for an undo, from the registries."""

from typing import Any

import msgspec

from tasks.transfer.ports import PageLedger, TagIntent
from workers.page.actions import Action, Actions
from workers.page.details import Details


class Consequence(msgspec.Struct, frozen=True, kw_only=True):
    """The consequence for one tag; `digest` is the new digest, None if the tag is deleted or the digest unknown."""

    reference: str
    will: str
    digest: str | None = None
    why: str = ""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """An action and its consequences; `token` belongs to its form, `note` says how certain the consequences are."""

    push_id: str
    action: str
    tags: list[Consequence]
    token: str
    note: str = ""


def consequences(ledger: PageLedger, actions: Actions, push: Details, action: Action) -> tuple[list[Consequence], str]:
    """Return the consequences of an action for each tag, and a note on their certainty."""
    tags = [tag for item in push.items for tag in item["tags"]]
    if action == "retry":
        return [_retried(tag) for tag in tags], "The request is sent again as it was. What is there already stays."
    if action == "cancel":
        return [_cancelled(tag) for tag in tags], "Copies end. Tags that have moved stay moved: undo puts them back."
    preview = actions.preview_undo(push.push_id)
    if preview is not None:
        will = {"restored": "restore", "deleted": "delete", "moved": "leave alone", "failed": "fail"}
        return [
            Consequence(
                reference=tag.reference,
                will=will[tag.action],
                digest=tag.digest,
                why=tag.error.message if tag.error is not None else "",
            )
            for tag in sorted(preview.tags, key=lambda tag: tag.reference)
        ], "As the registries are now. A tag that someone else moves meanwhile is left alone."
    return [_undone(reference, intent) for reference, intent in sorted(ledger.intents(push.push_id).items())], (
        "No worker is free to look at the registries: this is what the ledger says. A tag that someone else has"
        " moved since is left alone."
    )


def _retried(tag: dict[str, Any]) -> Consequence:
    done = tag["action"] in {"copied", "merged", "unchanged"} and not tag.get("planned")
    return Consequence(reference=tag["reference"], will="stay" if done else "push again", digest=tag["new_digest"])


def _cancelled(tag: dict[str, Any]) -> Consequence:
    moved = tag["action"] in {"copied", "merged"} and not tag.get("planned")
    digest = tag["new_digest"] if moved else tag["old_digest"]
    return Consequence(reference=tag["reference"], will="stay moved" if moved else "stay as it is", digest=digest)


def _undone(reference: str, intent: TagIntent) -> Consequence:
    if intent.old_digest is None:
        return Consequence(reference=reference, will="delete")
    return Consequence(reference=reference, will="restore", digest=intent.old_digest)
