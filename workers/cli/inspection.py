"""`imagepusher status`, `verify` and `undo`: look at a push that was sent, and take it back."""

import sys
from typing import TYPE_CHECKING, Any

import click

from workers.cli.access import RegistryCommand, registry_options
from workers.cli.codes import INVALID, code_of_undo, code_of_verification
from workers.cli.output import emit_as_json, is_terminal, note, output_option
from workers.cli.session import open_session, settings_of

if TYPE_CHECKING:
    from tasks import contract
    from tasks.transfer.ports import Ledger
    from workers.cli.render import Remembered


@click.command()
@click.argument("push_id", required=False)
@output_option
@click.pass_context
def status(context: click.Context, push_id: str | None) -> None:
    """List the pushes, or show one of them and its report."""
    from workers.ledger import open_ledger

    with open_ledger(settings_of(context)) as ledger:
        pushes = ledger.pushes() if push_id is None else [ledger.progress(push_id)]
        report = None if push_id is None else ledger.report(push_id)
        if emit_as_json(context, pushes if push_id is None else {"progress": pushes[0], "report": report}):
            return
        remembered = [_remember(ledger, push) for push in pushes]
    from workers.cli import render

    render.show(remembered, render.render_pushes)
    if report is not None:
        render.show(report, render.render_report)


def _remember(ledger: "Ledger", push: "contract.Progress") -> "Remembered":
    from workers.cli.render import Remembered

    report = None if push.state == "succeeded" else ledger.report(push.push_id)
    done = push.tags_done
    if report is not None:
        done = sum(tag.action != "failed" for item in report.items for tag in item.tags)
    return Remembered(push, tags_done=done, undo=ledger.undo_state(push.push_id))


@click.command(cls=RegistryCommand)
@click.argument("push_id")
@output_option
@registry_options("destination")
@click.pass_context
def verify(context: click.Context, /, push_id: str, **_: Any) -> None:
    """Compare what the destinations hold with the report of a push.

    Every tag of PUSH_ID must be what the report says, and all that it needs must be there.
    """
    with open_session(context) as client:
        verification = client.verify(push_id)
    if not emit_as_json(context, verification):
        from workers.cli import render

        render.show(verification, render.render_verification)
    context.exit(code_of_verification(verification))


@click.command(cls=RegistryCommand)
@click.argument("push_id")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
@registry_options("destination")
@click.pass_context
def undo(context: click.Context, /, push_id: str, *, yes: bool, **_: Any) -> None:
    """Put the tags of a push back to what they were.

    Tags that PUSH_ID made are deleted. A tag that someone else has moved since is left alone.
    """
    with open_session(context) as client:
        client.progress(push_id)
        if not yes and is_terminal(sys.stdin) and not click.confirm(f"Put the tags of push {push_id} back?", err=True):
            note("Nothing was changed.")
            context.exit(INVALID)
        undone = client.undo(push_id)
    if not emit_as_json(context, undone):
        from workers.cli import render

        render.show(undone, render.render_undo)
    context.exit(code_of_undo(undone))
