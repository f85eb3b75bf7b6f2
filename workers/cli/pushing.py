"""The shared part of the commands that push: send a push, follow it, show its report."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from workers.cli.common_options import common_options
from workers.cli.exit_codes import SUCCEEDED, code_of_preview, code_of_report
from workers.cli.output import emit, emit_as_json, emit_json, note, note_sent, output_option, wants_json
from workers.cli.registry_options import registry_options
from workers.cli.session import open_session

if TYPE_CHECKING:
    from tasks import contract
    from workers.client.interface import Client

Command = TypeVar("Command", bound=Callable[..., Any])


def push_options(command: Command) -> Command:
    """Add the options that `push` and `copy` share."""
    dry_run = click.option("--dry-run", is_flag=True, help="Show what the push would do; write nothing.")
    push_id = click.option("--push-id", metavar="ID", help="The id of the push; the same id is the same push.")
    return dry_run(push_id(sending_options(command)))


def sending_options(command: Command) -> Command:
    """Add the options of every command that sends a push."""
    options: list[Callable[[Command], Command]] = [
        output_option,
        click.option("--no-wait", is_flag=True, help="Enqueue the push, print its id and return; needs a broker."),
        click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="How many copies run at once."),
        click.option("-q", "--quiet", is_flag=True, help="Show no progress."),
        click.option(
            "--summary",
            type=click.Path(dir_okay=False),
            metavar="FILE",
            help="Append what moved, as Markdown, to this file.",
        ),
        registry_options("source", "destination"),
        common_options,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def run_push(context: click.Context, read: Callable[[], dict[str, Any]]) -> None:
    """Send the request that `read` returns, or show its preview, and exit with the code of the outcome."""
    from workers.cli.push_ids import identify

    chosen = context.params
    if chosen["dry_run"] and chosen["no_wait"]:
        raise click.UsageError("--dry-run and --no-wait exclude each other.")
    request, push_id = identify(read(), chosen["push_id"])
    session = open_session(context, jobs=chosen["jobs"], waits=not chosen["no_wait"], remembers=not chosen["dry_run"])
    with session as client:
        preview = chosen["dry_run"]
        code = _preview(context, client, request) if preview else send_push(context, client, request, push_id)
    context.exit(code)


def send_push(context: click.Context, client: "Client", request: dict[str, Any], push_id: str) -> int:
    """Send a push, follow it unless the command is not to wait, and return the exit code."""
    if path := context.params.get("summary"):
        from workers.cli.summary import ensure_writable

        ensure_writable(path)
    note_sent(context)
    if context.params["no_wait"]:
        client.send(request, push_id)
        _name(context, push_id)
        return SUCCEEDED
    return _push(context, client, request, push_id)


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
        from workers.cli.preview_table import render_preview
        from workers.cli.show import show

        show(preview, render_preview)
    return code_of_preview(preview)


def _push(context: click.Context, client: "Client", request: dict[str, Any], push_id: str) -> int:
    from workers.cli.progress import follow_push, shows_bars

    try:
        client.send(request, push_id)
        with follow_push(push_id, quiet=context.params["quiet"], bars=shows_bars()) as follower:
            report = client.wait(push_id, follower)
            follower.end(report)
    except KeyboardInterrupt:
        again = "" if context.info_name == "retry" else f" with --push-id {push_id}"
        raise KeyboardInterrupt(_after_interrupt(push_id, again, embedded=client.embedded)) from None
    return show_report(context, report)


def show_report(context: click.Context, report: "contract.PushReport") -> int:
    """Write the report, and the summary if one is requested; return the exit code."""
    if not emit_as_json(context, report):
        from workers.cli.report_table import render_report
        from workers.cli.show import show

        show(report, render_report)
    if path := context.params.get("summary"):
        from workers.cli.summary import append_summary

        append_summary(path, report)
    return code_of_report(report)


def _after_interrupt(push_id: str, again: str, *, embedded: bool) -> str:
    if embedded:
        return f"Interrupted. The same command{again} completes what is missing."
    return f"Interrupted. The push goes on: imagepusher status {push_id} shows how far it is."
