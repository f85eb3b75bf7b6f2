"""The confirmation of an action: its consequences, from the ledger and, for an undo, from the registries."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from tasks import contract
from tasks.transfer.ports import PageLedger, TagIntent
from workers.page.actions import Action, Actions
from workers.page.details import Details
from workers.page.holds import HoldAction, choose, tag_names

# Tags of a release are skipped if another one of it cannot be put back.
_UNDO_WORDS: Final = {
    "restored": "be restored", "deleted": "be deleted", "moved": "be left alone", "failed": "not be put back",
    "skipped": "stay moved",
}  # fmt: skip


class Consequence(msgspec.Struct, frozen=True, kw_only=True):
    """The consequence for one tag; `digest` is the new digest, None if the tag is deleted or the digest unknown."""

    reference: str
    will: str
    digest: str | None = None
    why: str = ""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """An action on a push or a tag, at `path`, and its consequences.

    `token` belongs to its form, `note` says how certain the consequences are.
    """

    subject: str
    path: str
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
    if action == "undo":
        return _undone(ledger, actions, push.push_id)
    return held(tag_names(push.items), push.holds, action)


def held(tags: Sequence[str], holds: Mapping[str, contract.Hold], action: HoldAction) -> tuple[list[Consequence], str]:
    """Return the consequences of a hold, or of its release, for each tag."""
    chosen = frozenset(choose(tags, holds, action))
    stays = "stay on hold" if action == "hold" else "stay as it is"
    changes = "be on hold" if action == "hold" else "be released"
    note = (
        "No push moves these tags, and no undo, until they are released. A push that wants to is told your reason."
        if action == "hold"
        else "Pushes and undos may move these tags again."
    )
    return [
        Consequence(reference=tag, will=changes if tag in chosen else stays, why=holds[tag].why if tag in holds else "")
        for tag in tags
    ], note


def _retried(tag: dict[str, Any]) -> Consequence:
    done = tag["action"] in {"copied", "merged", "unchanged"} and not tag.get("planned")
    will = "stay as it is" if done else "be pushed again"
    return Consequence(reference=tag["reference"], will=will, digest=tag["new_digest"])


def _cancelled(tag: dict[str, Any]) -> Consequence:
    moved = tag["action"] in {"copied", "merged"} and not tag.get("planned")
    digest = tag["new_digest"] if moved else tag["old_digest"]
    return Consequence(reference=tag["reference"], will="stay moved" if moved else "stay as it is", digest=digest)


def _undone(ledger: PageLedger, actions: Actions, push_id: str) -> tuple[list[Consequence], str]:
    preview = actions.preview_undo(push_id)
    if preview is None:
        changes = ((name, intent) for name, intent in sorted(ledger.intents(push_id).items()) if intent.changes)
        return [_put_back(reference, intent) for reference, intent in changes], (
            "No worker is free to look at the registries: this is what the ledger says. A tag that someone else has"
            " moved since is left alone."
        )
    return [
        Consequence(
            reference=tag.reference,
            will=_UNDO_WORDS[tag.action],
            digest=tag.digest,
            why=tag.error.message if tag.error is not None else "",
        )
        for tag in sorted(preview.tags, key=lambda tag: tag.reference)
    ], "As the registries are now. A tag that someone else moves meanwhile is left alone."


def _put_back(reference: str, intent: TagIntent) -> Consequence:
    if intent.old_digest is None:
        return Consequence(reference=reference, will="be deleted")
    return Consequence(reference=reference, will="be restored", digest=intent.old_digest)
