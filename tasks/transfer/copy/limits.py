"""The limits of the copies of one process."""

import msgspec

from tasks.registry.registry_share import Visits


class CopyLimits(msgspec.Struct, frozen=True):
    """The limits of the copies of one process.

    `big_at_once` big blobs move at a time, or more, up to `most_big`, where more moves by that. A copy fails after
    `seconds`. `visits` limit the copies that wait for one slow registry.
    """

    big_at_once: int
    most_big: int
    seconds: float
    visits: Visits
