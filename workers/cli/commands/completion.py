"""`imagepusher completion`."""

import click
from click.shell_completion import get_completion_class

from workers.cli.output import emit


@click.command(short_help="Print the completion for bash, zsh or fish.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion of commands, options and push ids for a shell.

    In ~/.bashrc: eval "$(imagepusher completion bash)"
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click knows no completion for {shell}.")
    emit(f"{kind(context.find_root().command, {}, 'imagepusher', '_IMAGEPUSHER_COMPLETE').source()}\n")
