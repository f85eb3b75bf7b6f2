"""`imagepusher status`, `verify` and `undo`: look at a push that was sent, and take it back."""

import sys
from typing import Any

import click

from workers.cli.access import RegistryCommand, registry_options
from workers.cli.codes import INVALID, code_of_undo, code_of_verification
from workers.cli.output import emit_json, is_terminal, note, output_option, wants_json
from workers.cli.session import open_session


@click.command()
@click.argument("push_id", required=False)
@output_option
@click.pass_context
def status(context: click.Context, push_id: str | None) -> None:
    """List the pushes, or show one of them and its report."""
    import msgspec

    from workers.cli import render

    with open_session(context) as client:
        if push_id is None:
            render.show(client.pushes(), render.render_pushes, as_json=wants_json(context))
            return
        progress, report = client.progress(push_id), client.report(push_id)
    if wants_json(context):
        emit_json({"progress": msgspec.to_builtins(progress), "report": msgspec.to_builtins(report)})
        return
    render.show([progress], render.render_pushes, as_json=False)
    if report is not None:
        render.show(report, render.render_report, as_json=False)


@click.command(cls=RegistryCommand)
@click.argument("push_id")
@output_option
@registry_options("destination")
@click.pass_context
def verify(context: click.Context, /, push_id: str, **_: Any) -> None:
    """Compare what the destinations hold with the report of a push.

    Every tag of PUSH_ID must be what the report says, and all that it needs must be there.
    """
    from workers.cli import render

    with open_session(context) as client:
        verification = client.verify(push_id)
    render.show(verification, render.render_verification, as_json=wants_json(context))
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
    from workers.cli import render

    with open_session(context) as client:
        client.progress(push_id)
        if not yes and is_terminal(sys.stdin) and not click.confirm(f"Put the tags of push {push_id} back?", err=True):
            note("Nothing was changed.")
            context.exit(INVALID)
        undone = client.undo(push_id)
    render.show(undone, render.render_undo, as_json=wants_json(context))
    context.exit(code_of_undo(undone))
