"""Follow a push of any sender, by its record in the ledger."""

import time
from typing import TYPE_CHECKING, Final

from tasks.contract import ENDED
from tasks.errors import StateUnavailable
from workers.client.waiting import Fail, Outage

if TYPE_CHECKING:
    from tasks import contract
    from tasks.transfer.ports import ClientLedger
    from workers.cli.progress import Follower

_LOOK_SECONDS: Final = 0.5
# Reading the progress of thousands of digests takes long: spend at most a twentieth of the time on it.
_REST_FACTOR: Final = 20


def follow_to_end(ledger: "ClientLedger", push_id: str, follower: "Follower", patience: float) -> "contract.Progress":
    """Return the last progress of a push, once it has ended or no process runs it any more.

    An outage of the ledger is tolerated for `patience` seconds. Raises PushUnknown and StateUnavailable.
    """
    outage = Outage(patience)
    while True:
        started = time.monotonic()
        try:
            progress = ledger.progress(push_id)
        except StateUnavailable as error:
            step = outage.bear(error, time.monotonic())
            if isinstance(step, Fail):
                raise
            time.sleep(_LOOK_SECONDS)
            continue
        outage.end()
        if progress.state in ENDED or progress.state == "interrupted":
            return progress
        follower(progress)
        time.sleep(max(_LOOK_SECONDS, (time.monotonic() - started) * _REST_FACTOR))
