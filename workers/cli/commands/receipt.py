"""`imagepusher receipt`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from workers.cli.common_options import common_options
from workers.cli.exit_codes import code_of_receipts
from workers.cli.output import emit_as_json, output_option
from workers.cli.push_ids import complete_push_ids
from workers.cli.push_outcome import ensure_ended
from workers.cli.session import settings_of

if TYPE_CHECKING:
    from workers.settings import Settings


@click.command(short_help="Print and verify the signed receipts of a push.")
@click.argument("push_id", shell_complete=complete_push_ids)
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(),
    metavar="FILE",
    help="Verify with this public key (PEM), not with that of receipts.key_file; repeatable.",
)
@output_option
@common_options
@click.pass_context
def receipt(context: click.Context, /, push_id: str, *, keys: tuple[str, ...], **_: Any) -> None:
    """Print the signed receipts of the tags that a push moved, and verify them.

    Every tag that PUSH_ID moved must have one, signed by one of the keys.
    """
    from tasks.errors import PushUnknown
    from tasks.transfer.inspection.receipts import check_receipts
    from workers.ledger import open_ledger

    settings = settings_of(context)
    ensure_ended(context, push_id)
    chosen = _keys(settings, keys)
    with open_ledger(settings) as ledger:
        report = ledger.report(push_id)
        if report is None:
            raise PushUnknown(f"No report of a push {push_id!r} is known here.")
        checked = check_receipts(report, ledger.receipts(push_id), chosen)
    if not emit_as_json(context, checked):
        from workers.cli.receipts_table import render_receipts
        from workers.cli.show import show

        show(checked, render_receipts)
    context.exit(code_of_receipts(checked))


def _keys(settings: "Settings", names: Sequence[str]) -> list[str]:
    """Return the public keys that verify; raises RequestInvalid, SettingsInvalid if there is none."""
    from tasks.errors import SettingsInvalid
    from workers.cli.key_file import read_key

    keys = [read_key(name) for name in names]
    if not keys and settings.receipt_key is not None:
        keys = [settings.receipt_key.public()]
    if not keys:
        raise SettingsInvalid("No key verifies a receipt here: give --key, or receipts.key_file in the settings.")
    return keys
