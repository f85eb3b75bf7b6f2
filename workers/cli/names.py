"""Display names of copies: the platform, with the image if there are several. Pure."""

from typing import TYPE_CHECKING

from workers.amounts import short
from workers.printable import printable

if TYPE_CHECKING:
    from tasks import contract


def name_of_copy(copy: "contract.CopyProgress", *, several: bool) -> str:
    """Return the platform or short digest of a copy; with `several` images, after the last part of the image's name."""
    what = copy.platform or short(copy.digest)
    if not several or not copy.source:
        return printable(what)
    return printable(f"{copy.source.rpartition('/')[2].partition('@')[0]} {what}")
