"""`imagepusher verify`."""

from typing import Any

import click

from workers.cli.common_options import common_options
from workers.cli.exit_codes import code_of_verification
from workers.cli.output import emit_as_json, output_option
from workers.cli.push_ids import complete_push_ids
from workers.cli.push_outcome import ensure_ended
from workers.cli.registry_options import RegistryCommand, registry_options
from workers.cli.session import open_session


@click.command(cls=RegistryCommand, short_help="Compare what destinations hold with a push's report.")
@click.argument("push_id", shell_complete=complete_push_ids)
@output_option
@registry_options("destination")
@common_options
@click.pass_context
def verify(context: click.Context, /, push_id: str, **_: Any) -> None:
    """Compare what the destinations hold with the report of a push.

    Every tag of PUSH_ID must be what the report says, and all that it needs must be there.
    """
    ensure_ended(context, push_id)
    with open_session(context) as client:
        verification = client.verify(push_id)
    if not emit_as_json(context, verification):
        from workers.cli.show import show
        from workers.cli.verification_table import render_verification

        show(verification, render_verification)
    context.exit(code_of_verification(verification))
