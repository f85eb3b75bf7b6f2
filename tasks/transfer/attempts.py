"""Count the starts of a part of a push that never came back, and abandon what ends its workers (BEHAVIOUR 6.4, 7.4)."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass

from tasks.errors import PushAbandoned, StateUnavailable
from tasks.transfer.ports import Runs, Starts


@dataclass(frozen=True)
class Attempts:
    """What counting needs; what was started `most` times and never came back is abandoned."""

    ledger: Starts
    runs: Runs
    most: int

    @contextmanager
    def attempt(self, push_id: str, part: str, lost: int, what: str) -> Iterator[None]:
        """Count a start; `lost` is how many never came back, and `what` names the part in the error.

        A worker that dies takes all that it does along: so the last attempt is made alone, and what merely was near
        comes to its end. Raises PushAbandoned, LockUnavailable, StateUnavailable.
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
