"""The limits of the copies of one process."""

import msgspec

from tasks.registry.registry_share import Visits


class CopyLimits(msgspec.Struct, frozen=True):
    """The limits of the copies of one process.

    At most `big_at_once` big blobs move at a time. A copy fails after `seconds`. `visits` limit the copies that
    wait for one slow registry.
    """

    big_at_once: int
    seconds: float
    visits: Visits
