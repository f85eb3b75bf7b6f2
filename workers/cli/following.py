"""Follow a push that somebody sent, by what the ledger says of it."""

import time
from typing import TYPE_CHECKING, Final

from tasks.contract import ENDED

if TYPE_CHECKING:
    from tasks import contract
    from tasks.transfer.ports import Ledger
    from workers.cli.progress import Follower

_LOOK_SECONDS: Final = 0.5
# Reading the progress of thousands of digests takes long: it is done in a twentieth of the time.
_REST_FACTOR: Final = 20


def follow_to_end(ledger: "Ledger", push_id: str, follower: "Follower") -> "contract.Progress":
    """Return the last progress of a push, when it has ended or nobody carries it out any more; raises PushUnknown."""
    while True:
        started = time.monotonic()
        progress = ledger.progress(push_id)
        if progress.state in ENDED or progress.state == "interrupted":
            return progress
        follower(progress)
        time.sleep(max(_LOOK_SECONDS, (time.monotonic() - started) * _REST_FACTOR))
