"""Wait for the outcome of a push of any sender, and show it."""

from typing import TYPE_CHECKING

import click

from workers.cli.exit_codes import FAILED, INTERRUPTED, INVALID, code_of_report
from workers.cli.output import emit_as_json, emit_json, note_error, wants_json
from workers.cli.session import interruptible, settings_of

if TYPE_CHECKING:
    from tasks import contract
    from tasks.transfer.ports import Ledger


def await_outcome(context: click.Context, push_id: str) -> int:
    """Wait for the end of a push and return its exit code; raises PushUnknown."""
    from workers.cli.follow_push import follow_to_end
    from workers.cli.progress import follow_push, shows_bars
    from workers.ledger import open_ledger

    going_on = f"Interrupted. The push goes on: imagepusher status {push_id} shows how far it is."
    settings = settings_of(context)
    with open_ledger(settings) as ledger, interruptible(context, going_on):
        ledger.progress(push_id)
        quiet = context.params.get("quiet", False)
        with follow_push(push_id, quiet=quiet, bars=shows_bars()) as follower:
            last = follow_to_end(ledger, push_id, follower, settings.outage_seconds)
        return show_outcome(context, ledger, last)


def show_outcome(context: click.Context, ledger: "Ledger", last: "contract.Progress") -> int:
    """Show the report of a push, or the reason why there is none; return the exit code."""
    report = ledger.report(last.push_id)
    if report is None:
        return _without_report(context, ledger, last)
    if not emit_as_json(context, report):
        from workers.cli.report_table import render_report
        from workers.cli.show import show

        show(report, render_report)
    return code_of_report(report)


def _without_report(context: click.Context, ledger: "Ledger", last: "contract.Progress") -> int:
    code: str = last.state
    message, exit_code = how_it_stands(last), FAILED
    if last.state == "interrupted":
        exit_code = INTERRUPTED
    if last.state == "refused" and (refusal := ledger.refusal(last.push_id)) is not None:
        code, message, exit_code = refusal.code, refusal.message, INVALID
    note_error(f"Error [{code}]:", message)
    if wants_json(context):
        emit_json({"error": {"code": code, "message": message}})
    return exit_code


def how_it_stands(progress: "contract.Progress") -> str:
    """Return a description of a push without a report."""
    push_id = progress.push_id
    if progress.state == "interrupted":
        return (
            f"The push {push_id} was interrupted: imagepusher retry {push_id} completes it"
            " (with the options of the first command)."
        )
    if progress.state == "refused":
        return f"The push {push_id} was refused: imagepusher status {push_id} says why. Nothing was written."
    if progress.waiting is not None:
        from workers.cli.waiting import told

        return f"The push {push_id} {told(progress.waiting)}"
    return f"The push {push_id} has not ended, it is {progress.state}: imagepusher wait {push_id} waits for its report."


def ensure_ended(context: click.Context, push_id: str) -> None:
    """Raise PushUnfinished if a push has no report yet, PushUnknown if the push is unknown."""
    from tasks.errors import PushUnfinished
    from workers.ledger import open_ledger

    with open_ledger(settings_of(context)) as ledger:
        progress = ledger.progress(push_id)
        if ledger.report(push_id) is None:
            raise PushUnfinished(how_it_stands(progress))
