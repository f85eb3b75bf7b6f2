"""The command `imagepusher`: its subcommands, and the handling of all their errors."""

import re
from typing import Any, Final

import click

from tasks.errors import ImagePusherError, RequestInvalid
from workers.cli.exit_codes import INTERRUPTED, code_of_error
from workers.cli.lazy import LazyCommands
from workers.cli.output import emit_json, expect_output, note, note_error, wants_json, was_sent
from workers.cli.process_end import end_process

_NAMES: Final = (
    "push", "copy", "status", "wait", "retry", "cancel", "verify", "receipt", "undo", "history", "hold",
    "release-hold", "holds", "page", "worker", "doctor", "schema", "files",
    "completion",
)  # fmt: skip

_USER_INFO: Final = re.compile(r"://[^/\s]*@")
_LONE_SURROGATE: Final = "surrogates not allowed"


class Commands(click.Group):
    """A group whose errors end in one clear message and the exit code of their class."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        expect_output(ctx, args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            # skopeo takes options before its commands.
            from workers.cli.skopeo import explained

            raise explained(error) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            if wants_json(ctx):
                emit_json({"error": {"code": "usage", "message": error.format_message()}})
            raise
        except ImagePusherError as error:
            _tell(ctx, error)
            ctx.exit(code_of_error(error, pushing=was_sent(ctx)))
        except (KeyboardInterrupt, click.Abort):
            note("Interrupted.")
            if wants_json(ctx):
                emit_json({"error": {"code": "interrupted", "message": "Interrupted."}})
            ctx.exit(INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:  # noqa: BLE001 - a command never ends in a traceback
            told = _unexpected(error)
            _tell(ctx, told)
            ctx.exit(code_of_error(told))


def _tell(context: click.Context, error: ImagePusherError) -> None:
    """Write an error to stderr, and as JSON to stdout in place of the result."""
    faults = error.faults if isinstance(error, RequestInvalid) else []
    head = f"Error [{error.code}]:"
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        note_error(head, f"The request has {count}. {error.advice}")
        # `copy` has a single item, without a number.
        numbered = context.invoked_subcommand != "copy"
        for fault in sorted(faults, key=_number):
            item = f"item {fault['item']}, " if numbered and fault.get("item") is not None else ""
            note(f"  {item}{fault['field']}: {fault['reason']}")
    else:
        note_error(head, str(error))
    if wants_json(context):
        listed = {"faults": faults} if faults else {}
        emit_json({"error": {"code": error.code, "message": str(error), **listed}})


def _number(fault: dict[str, Any]) -> int:
    number = fault.get("item")
    return -1 if number is None else int(number)


def _unexpected(error: Exception) -> ImagePusherError:
    from workers.observability.masking import mask

    if isinstance(error, UnicodeEncodeError) and error.reason == _LONE_SURROGATE:
        # It comes from an escape in JSON or a non-UTF-8 argument. Nothing was sent: nothing can store it.
        return RequestInvalid(
            "The request, or an argument, is no valid text (it has a lone surrogate). Is it UTF-8, and LC_ALL too?"
        )
    told = mask(_USER_INFO.sub("://", str(error)))
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


@click.group(
    cls=Commands,
    commands=LazyCommands("workers.cli.commands", _NAMES),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 all done, 1 some failed, 2 usage, request or settings invalid (nothing was written),"
    " 3 all failed, 4 authentication refused.",
)
@click.option("--config", type=click.Path(), metavar="PATH", help="The TOML file of settings (IMAGEPUSHER_CONFIG).")
@click.option("-v", "--verbose", "--debug", "verbose", is_flag=True, help="Show each request to a registry, on stderr.")
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show the version."
)
def imagepusher(config: str | None, *, verbose: bool) -> None:
    """Copy container images between registries and merge their platforms."""


def main() -> None:
    """Run the command of `sys.argv`."""
    try:
        imagepusher(prog_name="imagepusher")
    except SystemExit as ended:
        if isinstance(ended.code, int):
            end_process(ended.code)
        raise
