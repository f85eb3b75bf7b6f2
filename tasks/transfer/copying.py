"""Do one copy of a push, with the effect of once, however often and wherever it is delivered (BEHAVIOUR 7.3, 7.4)."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tasks import contract
from tasks.errors import ImagePusherError, PushAbandoned, PushCancelled, StateUnavailable
from tasks.transfer.copy import Copier
from tasks.transfer.plan import Copy
from tasks.transfer.ports import CopyOutcome, Ledger, Runs

LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Copying:
    """What carrying a copy out needs; one that was started `most_starts` times and never came back is abandoned."""

    ledger: Ledger
    copier: Copier
    runs: Runs
    most_starts: int

    def carry_out(self, push_id: str, digest: str, *, tries_left: Callable[[int], bool]) -> ImagePusherError | None:
        """Copy and record the outcome; return the error of a registry that may answer later instead, if tries are left.

        `tries_left` is asked with the number of tries that the plan allows. Raises PushCancelled when the worker shuts
        down, StateUnavailable, LockUnavailable.
        """
        with self.runs.hold(push_id, digest):
            taken = self.ledger.take_copy(push_id, digest)
            if taken.planned is None:
                LOG.warning("Push %s: the ledger has no copy of %s any more", push_id, digest)
                return None
            if taken.outcome is not None:
                return None
            if self.ledger.begin(push_id, digest) > self.most_starts:
                error = PushAbandoned(f"The copy of {digest} ended its worker {self.most_starts} times.")
                self._record(push_id, _failed(taken.planned, error))
                return None
            return self._copy(push_id, taken.planned, tries_left)

    def _copy(self, push_id: str, planned: Copy, tries_left: Callable[[int], bool]) -> ImagePusherError | None:
        try:
            copied = self.copier.copy(planned, lambda progress: self.ledger.record_progress(push_id, progress))
        except (PushCancelled, StateUnavailable):
            self.ledger.settle(push_id, planned.digest)
            raise
        except ImagePusherError as error:
            self._record(push_id, _failed(planned, error))
            return None
        except Exception as error:
            LOG.exception("Push %s: the copy of %s broke", push_id, planned.digest)
            broken = ImagePusherError(
                f"The copy of {planned.digest} broke ({type(error).__name__}): see the worker's log."
            )
            self._record(push_id, _failed(planned, broken))
            return None
        if copied.transient is not None and tries_left(planned.tries):
            self.ledger.settle(push_id, planned.digest)
            return copied.transient
        self.ledger.record_copy(push_id, copied.outcome, copied.progress)
        return None

    def _record(self, push_id: str, outcome: CopyOutcome) -> None:
        ended = contract.CopyProgress(digest=outcome.digest, ended=True, failed=True)
        self.ledger.record_copy(push_id, outcome, ended)


def _failed(planned: Copy, error: ImagePusherError) -> CopyOutcome:
    """Return the outcome of a copy that reached none of its repositories."""
    fault = contract.Fault(error.code, str(error))
    return CopyOutcome(digest=planned.digest, faults={"/".join(name): fault for name in planned.destinations})
