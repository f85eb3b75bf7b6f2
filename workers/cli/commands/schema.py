"""`imagepusher schema`."""

import click

from workers.cli.output import emit


@click.command()
def schema() -> None:
    """Print the JSON schema of requests and reports."""
    from importlib.resources import files

    emit(files("tasks").joinpath("schema.v1.json").read_text(encoding="utf-8"))
