"""`imagepusher release-hold`."""

from typing import Any

import click

from workers.cli.common_options import common_options
from workers.cli.exit_codes import INVALID
from workers.cli.output import emit_as_json, note, output_option
from workers.cli.session import settings_of


@click.command("release-hold", short_help="Let a tag that is on hold move again.")
@click.argument("reference", metavar="REF")
@output_option
@common_options
@click.pass_context
def release_hold(context: click.Context, /, reference: str, **_: Any) -> None:
    """Let the tag REF move again; ends with 2 where it is not on hold."""
    from workers.cli.acts import note_tag_act
    from workers.cli.tag_names import tag_name
    from workers.ledger import open_ledger

    name = tag_name(reference)
    settings = settings_of(context)
    settings.trust.check_hold(name)
    with open_ledger(settings) as ledger:
        hold = ledger.release_hold(name)
        if hold is not None:
            note_tag_act(ledger, name, "release-hold", f"released, was on hold: {hold.why}")
    if not emit_as_json(context, hold):
        note(f"{name} is not on hold." if hold is None else f"{name} may move again; it was on hold: {hold.why}")
    context.exit(INVALID if hold is None else 0)
