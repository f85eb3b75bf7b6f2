"""`imagepusher wait`."""

from typing import Any

import click

from workers.cli.common_options import common_options
from workers.cli.output import output_option
from workers.cli.push_ids import complete_push_ids
from workers.cli.push_outcome import await_outcome


@click.command()
@click.argument("push_id", shell_complete=complete_push_ids)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@output_option
@common_options
@click.pass_context
def wait(context: click.Context, /, push_id: str, **_: Any) -> None:
    """Wait until a push has ended, and show its report.

    The exit code is that of the push, whoever sent it.
    """
    context.exit(await_outcome(context, push_id))
