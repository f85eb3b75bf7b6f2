"""`imagepusher undo`."""

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from workers.cli.common_options import common_options
from workers.cli.exit_codes import INVALID, SUCCEEDED, code_of_undo
from workers.cli.output import emit_as_json, is_terminal, note, note_drawn, output_option
from workers.cli.push_ids import complete_push_ids
from workers.cli.registry_options import RegistryCommand, registry_options
from workers.cli.session import open_session, settings_of

if TYPE_CHECKING:
    from tasks import contract
    from workers.client.interface import Client

_NOBODY_TO_ASK: Final = (
    "undo moves and deletes tags, and there is no terminal to ask at: say --yes, or look first with --dry-run."
)


@click.command(cls=RegistryCommand)
@click.argument("push_id", shell_complete=complete_push_ids)
@click.option("--dry-run", is_flag=True, help="List the tags that would be restored and deleted; change nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@click.option("--leave-moved", is_flag=True, help="Take a release back without tags that someone moved since.")
@output_option
@registry_options("destination")
@common_options
@click.pass_context
def undo(context: click.Context, /, push_id: str, *, dry_run: bool, yes: bool, leave_moved: bool, **_: Any) -> None:
    """Put the tags of a push back to what they were.

    Tags that PUSH_ID made are deleted. A tag that someone else has moved since is left alone; one of a release keeps
    all others of it where they are, unless --leave-moved is given.
    """
    from workers.cli.acts import recorded_undo
    from workers.ledger import open_ledger
    from workers.people import outcome_of

    with open_session(context) as client:
        client.progress(push_id)
        if not (dry_run or yes or is_terminal(sys.stdin)):
            raise click.UsageError(_NOBODY_TO_ASK)
        if dry_run:
            context.exit(_preview(context, client.preview_undo(push_id, leave_moved=leave_moved)))
        if not (yes or _confirm(client, push_id, leave_moved=leave_moved)):
            note("Nothing was changed.")
            context.exit(INVALID)
        with open_ledger(settings_of(context)) as ledger, recorded_undo(ledger, push_id) as end:
            undone = _undo(client, push_id, leave_moved=leave_moved)
            end(outcome_of(undone))
    if not emit_as_json(context, undone):
        from workers.cli.show import show
        from workers.cli.undo_table import render_undo

        show(undone, render_undo)
    context.exit(code_of_undo(undone))


def _undo(client: "Client", push_id: str, *, leave_moved: bool) -> "contract.Undo":
    try:
        return client.undo(push_id, leave_moved=leave_moved)
    except KeyboardInterrupt:
        told = "The workers carry it out all the same."
        if client.embedded:
            told = "The same command takes back what is left."
        raise KeyboardInterrupt(f"Interrupted. {told} imagepusher status {push_id} shows how far it is.") from None


def _preview(context: click.Context, planned: "contract.Undo") -> int:
    if not emit_as_json(context, planned):
        from workers.cli.show import show
        from workers.cli.undo_table import render_undo_plan

        show(planned, render_undo_plan)
    return code_of_undo(planned) if planned.tags else SUCCEEDED


def _confirm(client: "Client", push_id: str, *, leave_moved: bool) -> bool:
    """List the change of each tag on stderr, and ask for confirmation."""
    from workers.cli.show import drawn
    from workers.cli.undo_table import render_undo_plan

    note_drawn(drawn(client.preview_undo(push_id, leave_moved=leave_moved), render_undo_plan, sys.stderr))
    return click.confirm(f"Put the tags of push {push_id} back?", err=True)
