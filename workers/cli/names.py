"""What people call a copy: its platform, and its image where there are several. Pure."""

from typing import TYPE_CHECKING

from workers.amounts import short
from workers.cli.output import printable

if TYPE_CHECKING:
    from tasks import contract


def name_of_copy(copy: "contract.CopyProgress", *, several: bool) -> str:
    """Return the platform of a copy, or the digits of its digest, after the last part of its image's name."""
    what = copy.platform or short(copy.digest)
    if not several or not copy.source:
        return printable(what)
    return printable(f"{copy.source.rpartition('/')[2].partition('@')[0]} {what}")
