"""`imagepusher undo`."""

import sys
from typing import Any

import click

from workers.cli.access import RegistryCommand, registry_options
from workers.cli.codes import INVALID, code_of_undo
from workers.cli.output import emit_as_json, is_terminal, note, output_option
from workers.cli.session import open_session


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
