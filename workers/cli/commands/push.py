"""`imagepusher push`."""

from typing import Any

import click

from workers.cli.pushing import push_options, run_push
from workers.cli.registry_options import STDIN, RegistryCommand, refuse_stdin


@click.command(cls=RegistryCommand)
@click.argument("file", metavar="FILE|-", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@push_options
@click.pass_context
def push(context: click.Context, /, file: str, **_: Any) -> None:
    """Push the images of a request file, JSON or YAML."""
    from workers.cli.request_file import read_request

    if file == STDIN:
        refuse_stdin(context.params)
    run_push(context, lambda: read_request(file))
