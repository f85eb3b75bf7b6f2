"""Count the lost starts of a part of a push, and abandon a part that ends its workers (BEHAVIOUR 6.4, 7.4)."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress

import msgspec

from tasks.errors import PushAbandoned, StateUnavailable
from tasks.transfer.ports import Runs, Starts


class Attempts(msgspec.Struct, frozen=True):
    """The counter of lost starts; a part that was lost `most` times is abandoned."""

    ledger: Starts
    runs: Runs
    most: int

    @contextmanager
    def attempt(self, push_id: str, part: str, lost: int, what: str) -> Iterator[None]:
        """Count a start; `lost` is the number of lost starts, and `what` names the part in the error.

        A dying worker loses all of its running parts. So the last attempt of a part runs alone: other parts that were
        lost with it can end. Raises PushAbandoned, PartBusy, StateUnavailable.
        """
        if lost >= self.most:
            raise PushAbandoned(f"{what} ended its worker {lost} times.")
        with self.runs.alone(push_id) if 0 < lost == self.most - 1 else nullcontext():
            self.ledger.begin(push_id, part)
            try:
                yield
            except BaseException:
                with suppress(StateUnavailable):
                    self.ledger.settle(push_id, part)
                raise
