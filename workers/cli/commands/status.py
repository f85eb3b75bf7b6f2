"""`imagepusher status`."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from workers.cli.common_options import common_options
from workers.cli.output import emit_json, output_option, wants_json
from workers.cli.push_ids import complete_push_ids
from workers.cli.push_outcome import await_outcome
from workers.cli.session import settings_of

if TYPE_CHECKING:
    from tasks.contract import Progress
    from tasks.transfer.ports import Ledger

_SHOWN: Final = 20
# The states of the contract, and those that people cause. The contract is imported only if there is a push to show.
STATES: Final = (
    "enqueued", "accepted", "copying", "publishing", "waiting",
    "succeeded", "partial", "failed", "interrupted", "cancelled", "undone", "refused",
)  # fmt: skip


@click.command()
@click.argument("push_id", required=False, shell_complete=complete_push_ids)
@click.option("-f", "--follow", is_flag=True, help="Follow PUSH_ID to its end, and end with its exit code.")
@click.option("--all", "everything", is_flag=True, help=f"List all pushes, not the newest {_SHOWN}.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="List so many, not 20.")
@click.option(
    "--state",
    "states",
    type=click.Choice(STATES),
    multiple=True,
    metavar="STATE",
    help=f"List those in a state; repeatable: {', '.join(STATES)}.",
)
@click.option("--since", metavar="TIME", help="List those that are not older: 90m, 2h, 3d, or a date.")
@output_option
@common_options
@click.pass_context
def status(context: click.Context, /, push_id: str | None, **chosen: Any) -> None:
    """List the newest pushes, or show one of them and its report."""
    from workers.ledger import open_ledger

    listing = [f"--{name}" for name in ("limit", "since") if chosen[name] is not None]
    listing += [flag for flag, name in (("--all", "everything"), ("--state", "states")) if chosen[name]]
    if push_id is None and chosen["follow"]:
        raise click.UsageError("--follow needs the id of a push.")
    if push_id is not None and listing:
        raise click.UsageError(f"{', '.join(listing)} chooses among pushes: give it without the id of one.")
    if push_id is not None and chosen["follow"]:
        context.exit(await_outcome(context, push_id))
    with open_ledger(settings_of(context)) as ledger:
        if push_id is None:
            _list(context, ledger, **chosen)
        else:
            _show(context, ledger, push_id)


def _list(context: click.Context, ledger: "Ledger", **chosen: Any) -> None:
    import msgspec

    from workers.recorded_push import remember

    oldest = _oldest(chosen["since"])
    # JSON output has always listed all pushes.
    everything = chosen["everything"] or wants_json(context)
    if everything or chosen["states"] or oldest:
        pushes = ledger.pushes()
        found = _in_states(ledger, [each for each in pushes if each.created >= oldest], chosen["states"])
        remembered, matching = len(pushes), len(found)
        found = found[: chosen["limit"] or (matching if everything else _SHOWN)]
    else:
        found, remembered = _latest(ledger, chosen["limit"] or _SHOWN)
        matching = remembered
    listed = [remember(ledger, push) for push in found]
    if wants_json(context):
        called_off = ledger.called_off([push.progress.push_id for push in listed])
        emit_json(
            [
                msgspec.to_builtins(push.progress) | push.outline | {"producer": push.producer, "called_off": called}
                for push, called in zip(listed, called_off, strict=True)
            ]
        )
        return
    from workers.cli import pushes_table

    pushes_table.show_pushes(listed, left_out=matching - len(listed), remembered=remembered)


def _in_states(ledger: "Ledger", pushes: list["Progress"], states: Sequence[str]) -> list["Progress"]:
    """Return the pushes in one of the states, as the table shows them; all of them if no state is given."""
    if not states:
        return pushes
    called_off = ledger.called_off([push.push_id for push in pushes])
    return [push for push, called in zip(pushes, called_off, strict=True) if (called or push.state) in states]


def _latest(ledger: "Ledger", limit: int) -> tuple[list["Progress"], int]:
    """Return the pushes that were sent last, the newest first, and the number of all; read no other push."""
    from tasks.errors import PushUnknown

    found: list[Progress] = []
    expired = 0
    ids = ledger.push_ids()
    for push_id in ids:
        if len(found) == limit:
            break
        try:
            found.append(ledger.progress(push_id))
        except PushUnknown:
            expired += 1
    return sorted(found, key=lambda push: push.created, reverse=True), len(ids) - expired


def _oldest(since: str | None) -> float:
    from workers.cli.points_in_time import parse_since

    try:
        return 0.0 if since is None else parse_since(since, time.time())
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--since") from None


def _show(context: click.Context, ledger: "Ledger", push_id: str) -> None:
    import msgspec

    progress, report = ledger.progress(push_id), ledger.report(push_id)
    refusal, acts = ledger.refusal(push_id), ledger.interventions(push_id)
    if wants_json(context):
        told = {} if refusal is None else {"error": refusal}
        emit_json(msgspec.to_builtins({"progress": progress, "report": report, "interventions": acts, **told}))
        return
    from workers.cli import pushes_table
    from workers.cli.report_table import render_report
    from workers.cli.show import show
    from workers.cli.tables import render_fault
    from workers.recorded_push import remember

    pushes_table.show_push(remember(ledger, progress), acts)
    if refusal is not None:
        show(refusal, render_fault)
    if report is not None:
        show(report, render_report)
