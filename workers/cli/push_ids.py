"""Push ids: of a request that is to be sent, and of known pushes for the shell's completion."""

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from tasks.errors import RequestInvalid

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def identify(request: Mapping[str, Any], push_id: str | None) -> tuple[dict[str, Any], str]:
    """Return the request with its push id, and the id: the request's own, else `push_id`, else a new one.

    A request keeps an id that is empty or not a string, so that the validation reports it, and is sent under a new id.
    Raises RequestInvalid if both ids are given and differ.
    """
    own = request.get("push_id")
    if own is not None and push_id is not None and push_id != own:
        raise RequestInvalid(f"The request has the push id {own!r}, the command line says {push_id!r}: give one.")
    new = str(uuid.uuid4())
    chosen = next((given for given in (own, push_id) if given is not None), new)
    return {**request, "push_id": chosen}, chosen if isinstance(chosen, str) and chosen else new


def complete_push_ids(context: click.Context, _: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Return the ids of known pushes with this prefix, and their states; none if the ledger cannot be read."""
    from click.shell_completion import CompletionItem

    from workers.cli.session import settings_of
    from workers.ledger import open_ledger

    try:
        with open_ledger(settings_of(context)) as ledger:
            ids = [push_id for push_id in ledger.push_ids() if push_id.startswith(incomplete)]
            states = ledger.ended_states(ids)
    except Exception:  # noqa: BLE001 - a shell shows no errors during completion
        return []
    return [CompletionItem(push_id, help=state or "not ended") for push_id, state in zip(ids, states, strict=True)]
