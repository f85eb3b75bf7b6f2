"""The options that every command with settings has."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def common_options(command: Command) -> Command:
    """Add `--verbose` and `--config`, which may also precede the command; the command takes them in `**_`."""
    config = click.option("--config", type=click.Path(), metavar="PATH", help="The TOML file of settings.")
    verbose = click.option(
        "-v", "--verbose", "--debug", "verbose", is_flag=True, help="Show each request to a registry, on stderr."
    )
    return config(verbose(command))
