"""`imagepusher holds`."""

from typing import Any

import click

from workers.cli.common_options import common_options
from workers.cli.output import emit_as_json, output_option
from workers.cli.session import settings_of


@click.command(short_help="List the tags that are on hold.")
@output_option
@common_options
@click.pass_context
def holds(context: click.Context, /, **_: Any) -> None:
    """List the tags that are on hold, the oldest first, with the reason of each."""
    from workers.ledger import open_ledger

    with open_ledger(settings_of(context)) as ledger:
        found = ledger.holds()
    if not emit_as_json(context, found):
        from workers.cli.show import show
        from workers.cli.tags_table import render_holds

        show(found, render_holds)
