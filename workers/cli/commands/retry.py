"""`imagepusher retry`."""

from typing import Any

import click

from workers.cli.push_ids import complete_push_ids
from workers.cli.pushing import send_push, sending_options
from workers.cli.registry_options import RegistryCommand
from workers.cli.session import open_session, settings_of


@click.command(cls=RegistryCommand, short_help="Send a push again: it completes missing tags.")
@click.argument("push_id", shell_complete=complete_push_ids)
@sending_options
@click.pass_context
def retry(context: click.Context, /, push_id: str, **_: Any) -> None:
    """Send a push again as it was: it completes missing tags, and changes nothing else."""
    from tasks.errors import PushUnknown
    from workers.cli.acts import note_act
    from workers.ledger import open_ledger

    with open_ledger(settings_of(context)) as ledger:
        request = ledger.request(push_id)
        if request is None:
            raise PushUnknown(f"No request of a push {push_id!r} is known here.")
        with open_session(context, jobs=context.params["jobs"], waits=not context.params["no_wait"]) as client:
            note_act(ledger, push_id, "retry", "sent again")
            code = send_push(context, client, request, push_id)
    context.exit(code)
