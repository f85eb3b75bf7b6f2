"""Push ids for the shell's completion."""

import click
from click.shell_completion import CompletionItem


def complete_push_ids(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the remembered pushes that begin so, with their states; none where the ledger cannot be read."""
    from workers.cli.session import settings_of
    from workers.ledger import open_ledger

    try:
        with open_ledger(settings_of(context)) as ledger:
            pushes = [push for push in ledger.pushes() if push.push_id.startswith(incomplete)]
    except Exception:  # noqa: BLE001 - a shell that completes a word shows no errors
        return []
    return [CompletionItem(push.push_id, help=push.state) for push in pushes]
