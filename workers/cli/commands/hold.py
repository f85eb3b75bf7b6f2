"""`imagepusher hold`."""

from typing import Any

import click

from workers.cli.common_options import common_options
from workers.cli.output import emit_as_json, note, output_option
from workers.cli.session import settings_of


@click.command(short_help="Freeze a tag: no push and no undo moves it.")
@click.argument("reference", metavar="REF")
@click.option("--why", required=True, metavar="TEXT", help="The reason, which each refused push is told.")
@output_option
@common_options
@click.pass_context
def hold(context: click.Context, /, reference: str, *, why: str, **_: Any) -> None:
    """Freeze the tag REF, host/repository:tag: no push moves it, and no undo, until release-hold.

    A hold does not expire. On a tag that is on hold already it gives another reason.
    """
    from workers.cli.acts import note_tag_act
    from workers.cli.tag_names import tag_name
    from workers.ledger import open_ledger
    from workers.people import this_person

    if not why.strip():
        raise click.BadParameter("Give a reason.", param_hint="--why")
    name = tag_name(reference)
    settings = settings_of(context)
    settings.trust.check_hold(name)
    with open_ledger(settings) as ledger:
        held = ledger.hold(name, why.strip(), this_person())
        note_tag_act(ledger, name, "hold", f"on hold: {held.why}")
    if not emit_as_json(context, held):
        note(f"{name} is on hold. imagepusher release-hold {name} lets it move again.")
