"""Push ids for the shell's completion."""

import click
from click.shell_completion import CompletionItem


def complete_push_ids(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the ids of known pushes with this prefix, and their states; none if the ledger cannot be read."""
    from workers.cli.session import settings_of
    from workers.ledger import open_ledger

    try:
        with open_ledger(settings_of(context)) as ledger:
            ids = [push_id for push_id in ledger.push_ids() if push_id.startswith(incomplete)]
            states = ledger.ended_states(ids)
    except Exception:  # noqa: BLE001 - a shell shows no errors during completion
        return []
    return [CompletionItem(push_id, help=state or "not ended") for push_id, state in zip(ids, states, strict=True)]
