"""`imagepusher history`."""

from typing import Any, Final

import click

from workers.cli.common_options import common_options
from workers.cli.output import emit_as_json, output_option
from workers.cli.session import settings_of

_SHOWN: Final = 20


@click.command(short_help="Tell which pushes moved a tag.")
@click.argument("reference", metavar="REF")
@click.option("--all", "everything", is_flag=True, help=f"List all moves, not the newest {_SHOWN}.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="List so many.")
@output_option
@common_options
@click.pass_context
def history(context: click.Context, /, reference: str, *, everything: bool, limit: int | None, **_: Any) -> None:
    """Tell which pushes moved the tag REF: when, from what to what, and whether that was undone."""
    import msgspec

    from workers.cli.tag_names import tag_name
    from workers.ledger import open_ledger

    name = tag_name(reference)
    with open_ledger(settings_of(context)) as ledger:
        found = ledger.history(name)
    if not everything:
        found = msgspec.structs.replace(found, moves=found.moves[: limit or _SHOWN])
    if not emit_as_json(context, found):
        from workers.cli.show import show
        from workers.cli.tags_table import render_history

        show(found, render_history)
