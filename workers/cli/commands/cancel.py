"""`imagepusher cancel`."""

from typing import Any

import click

from workers.cli.common_options import common_options
from workers.cli.exit_codes import INVALID, SUCCEEDED
from workers.cli.output import emit_as_json, note, output_option
from workers.cli.push_ids import complete_push_ids
from workers.cli.push_outcome import await_outcome
from workers.cli.session import settings_of


@click.command(short_help="Stop a push; tags that have not moved stay as they are.")
@click.argument("push_id", shell_complete=complete_push_ids)
@click.option("--no-wait", is_flag=True, help="Do not wait until the push has stopped.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@output_option
@common_options
@click.pass_context
def cancel(context: click.Context, /, push_id: str, *, no_wait: bool, **_: Any) -> None:
    """Stop a push: its copies end, and tags that have not moved stay as they are.

    Tags that have moved stay moved: undo puts them back. Ends with 0 when the push has stopped, with 2 if it had ended
    before.
    """
    from tasks.contract import ENDED
    from workers.cli.acts import note_act
    from workers.ledger import open_ledger

    settings = settings_of(context)
    with open_ledger(settings) as ledger:
        progress = ledger.progress(push_id)
        if progress.state in ENDED:
            note(f"The push {push_id} has ended: {progress.state}. imagepusher undo {push_id} puts its tags back.")
            emit_as_json(context, progress)
            context.exit(INVALID)
        settings.trust.check_cancel(ledger.request(push_id), settings.targets)
        ledger.mark_cancelled(push_id)
        note_act(ledger, push_id, "cancel", "told to stop")
        if no_wait or progress.state == "interrupted":
            note(f"The push {push_id} is cancelled.")
            emit_as_json(context, ledger.progress(push_id))
            context.exit(SUCCEEDED)
    await_outcome(context, push_id)
    context.exit(SUCCEEDED)
