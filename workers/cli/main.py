"""The command `imagepusher`: its commands, and how every error of theirs ends."""

import re
from typing import Any, Final

import click

from tasks.errors import ImagePusherError, RequestInvalid
from workers.cli.codes import FAILED, INTERRUPTED, code_of_error
from workers.cli.inspection import status, undo, verify
from workers.cli.output import emit_json, printable, wants_json
from workers.cli.push import copy, push
from workers.cli.worker import schema, worker

_USER_INFO: Final = re.compile(r"://[^/\s]*@")


class Commands(click.Group):
    """A group whose errors end in one clear message and the exit code of their class."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            if wants_json(ctx):
                emit_json({"error": {"code": "usage", "message": error.format_message()}})
            raise
        except ImagePusherError as error:
            _tell(ctx, error)
            ctx.exit(code_of_error(error))
        except (KeyboardInterrupt, click.Abort):
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:  # noqa: BLE001 - a command never ends in a traceback
            _tell(ctx, _unexpected(error))
            ctx.exit(FAILED)


def _tell(context: click.Context, error: ImagePusherError) -> None:
    """Say what went wrong on stderr, and as JSON on stdout where the result would have been."""
    faults = error.faults if isinstance(error, RequestInvalid) else []
    head = click.style(f"Error [{error.code}]:", fg="red", bold=True)
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        click.echo(f"{head} The request has {count}. {error.advice}", err=True)
        for fault in faults:
            place = fault["field"] if fault.get("item") is None else f"item {fault['item']}, {fault['field']}"
            click.echo(printable(f"  {place}: {fault['reason']}"), err=True)
    else:
        click.echo(f"{head} {printable(str(error))}", err=True)
    if wants_json(context):
        listed = {"faults": faults} if faults else {}
        emit_json({"error": {"code": error.code, "message": str(error), **listed}})


def _unexpected(error: Exception) -> ImagePusherError:
    told = _USER_INFO.sub("://", str(error))
    return ImagePusherError(f"{type(error).__name__}: {told}" if told else type(error).__name__)


def _print_version(context: click.Context, _: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click calls it
    if not asked or context.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"imagepusher {version('imagepusher')}")
    except PackageNotFoundError:
        click.echo("imagepusher, not installed")
    context.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--config", type=click.Path(), metavar="PATH", help="The TOML file of settings (IMAGEPUSHER_CONFIG).")
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show it.")
def imagepusher(config: str | None) -> None:
    r"""Copy container images between registries and merge their platforms.

    \b
    Exit codes: 0 all done, 1 some failed, 2 usage, request or settings invalid
    (nothing was written), 3 all failed, 4 authentication refused.
    """


for _command in (push, copy, status, verify, undo, worker, schema):
    imagepusher.add_command(_command)


def main() -> None:
    """Run the command of `sys.argv`."""
    imagepusher(prog_name="imagepusher")
