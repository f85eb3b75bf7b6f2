"""`imagepusher push` and `copy`: send a push, follow it, show its report."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from workers.cli.access import STDIN, RegistryCommand, refuse_stdin, registry_options
from workers.cli.codes import code_of_preview, code_of_report
from workers.cli.output import emit, emit_as_json, emit_json, is_terminal, note, output_option, wants_json
from workers.cli.session import open_session

if TYPE_CHECKING:
    from workers.client.client import Client

Command = TypeVar("Command", bound=Callable[..., Any])


def push_options(command: Command) -> Command:
    """Add the options that `push` and `copy` share."""
    options: list[Callable[[Command], Command]] = [
        click.option("--dry-run", is_flag=True, help="Show what the push would do; write nothing."),
        output_option,
        click.option("--no-wait", is_flag=True, help="Enqueue the push, print its id and return; needs a broker."),
        click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="How many copies run at once."),
        click.option("--push-id", metavar="ID", help="The id of the push; the same id is the same push."),
        click.option("-q", "--quiet", is_flag=True, help="Show no progress."),
        registry_options("source", "destination"),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command(cls=RegistryCommand)
@click.argument("file", metavar="FILE|-", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@push_options
@click.pass_context
def push(context: click.Context, /, file: str, **_: Any) -> None:
    """Push the images of a request file, JSON or YAML."""
    from workers.cli.request import read_request

    if file == STDIN:
        refuse_stdin(context.params)
    _run(context, lambda: read_request(file))


@click.command(cls=RegistryCommand)
@click.argument("source", metavar="SOURCE")
@click.argument("destinations", metavar="DESTINATION...", nargs=-1, required=True)
@click.option("--target", metavar="NAME", help="A configured target; destinations are then repository:tag.")
@click.option("--kind", type=click.Choice(["auto", "source"]), default="auto", help="A source image is copied as is.")
@click.option(
    "--single-arch",
    type=click.Choice(["refuse", "copy", "merge"]),
    default="merge",
    show_default=True,
    help="What becomes of an image that is no index.",
)
@click.option("--platform", "platforms", multiple=True, metavar="OS/ARCH", help="Take only this one; repeatable.")
@click.option("--merge/--no-merge", default=True, show_default=True, help="Keep platforms that SOURCE lacks.")
@push_options
@click.pass_context
def copy(context: click.Context, /, source: str, destinations: tuple[str, ...], **chosen: Any) -> None:
    """Copy one image to one or more destinations.

    SOURCE and DESTINATION are host/repository:tag; docker:// before them is accepted.
    """
    from workers.cli.request import copy_request

    names = ("target", "kind", "single_arch", "platforms", "merge")
    _run(context, lambda: copy_request(source, destinations, **{name: chosen[name] for name in names}))


def _run(context: click.Context, read: Callable[[], dict[str, Any]]) -> None:
    from workers.cli.request import identify

    chosen = context.params
    if chosen["dry_run"] and chosen["no_wait"]:
        raise click.UsageError("--dry-run and --no-wait exclude each other.")
    request, push_id = identify(read(), chosen["push_id"])
    session = open_session(context, jobs=chosen["jobs"], waits=not chosen["no_wait"], remembers=not chosen["dry_run"])
    with session as client:
        if chosen["dry_run"]:
            code = _preview(context, client, request)
        elif chosen["no_wait"]:
            client.send(request, push_id)
            _name(context, push_id)
            code = 0
        else:
            code = _push(context, client, request, push_id)
    context.exit(code)


def _name(context: click.Context, push_id: str) -> None:
    if wants_json(context):
        emit_json({"push_id": push_id})
    else:
        emit(f"{push_id}\n")


def _preview(context: click.Context, client: "Client", request: dict[str, Any]) -> int:
    preview = client.preview(request)
    for warning in preview.warnings:
        note(f"Warning: {warning}")
    if not emit_as_json(context, preview):
        from workers.cli import render

        render.show(preview, render.render_preview)
    return code_of_preview(preview)


def _push(context: click.Context, client: "Client", request: dict[str, Any], push_id: str) -> int:
    from workers.cli.progress import follow_push

    try:
        client.send(request, push_id)
        with follow_push(push_id, quiet=context.params["quiet"], bars=is_terminal(sys.stderr)) as follower:
            report = client.wait(push_id, follower)
            follower.end(report)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_after_interrupt(push_id, embedded=client.embedded)) from None
    if not emit_as_json(context, report):
        from workers.cli import render

        render.show(report, render.render_report)
    return code_of_report(report)


def _after_interrupt(push_id: str, *, embedded: bool) -> str:
    if embedded:
        return f"Interrupted. The same command with --push-id {push_id} completes what is missing."
    return f"Interrupted. The push goes on: imagepusher status {push_id} shows how far it is."
