"""`imagepusher status`."""

from typing import TYPE_CHECKING

import click

from workers.cli.output import emit_as_json, output_option
from workers.cli.session import settings_of

if TYPE_CHECKING:
    from tasks import contract
    from tasks.transfer.ports import Ledger
    from workers.cli.render import Remembered


@click.command()
@click.argument("push_id", required=False)
@output_option
@click.pass_context
def status(context: click.Context, push_id: str | None) -> None:
    """List the pushes, or show one of them and its report."""
    from workers.ledger import open_ledger

    with open_ledger(settings_of(context)) as ledger:
        pushes = ledger.pushes() if push_id is None else [ledger.progress(push_id)]
        report = None if push_id is None else ledger.report(push_id)
        if emit_as_json(context, pushes if push_id is None else {"progress": pushes[0], "report": report}):
            return
        remembered = [_remember(ledger, push) for push in pushes]
    from workers.cli import render

    render.show(remembered, render.render_pushes)
    if report is not None:
        render.show(report, render.render_report)


def _remember(ledger: "Ledger", push: "contract.Progress") -> "Remembered":
    from workers.cli.render import Remembered

    report = None if push.state == "succeeded" else ledger.report(push.push_id)
    done = push.tags_done
    if report is not None:
        done = sum(tag.action != "failed" for item in report.items for tag in item.tags)
    return Remembered(push, tags_done=done, undo=ledger.undo_state(push.push_id))
