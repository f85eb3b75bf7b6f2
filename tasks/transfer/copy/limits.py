"""The limits of the copies of one process."""

from typing import NamedTuple

from tasks.registry.source_slots import Visits


class CopyLimits(NamedTuple):
    """The limits of the copies of one process.

    At most `big_at_once` big blobs move at a time. A copy fails after `seconds`. `visits` limit the copies from one
    slow source.
    """

    big_at_once: int
    seconds: float
    visits: Visits
