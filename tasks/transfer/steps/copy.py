"""The copy step: do one copy of a push, idempotent over repeated deliveries (BEHAVIOUR 7.3, 7.4)."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import msgspec

from tasks import contract
from tasks.errors import ImagePusherError, PushCancelledByUser
from tasks.registry.http.warning import listening
from tasks.transfer.copy.copier import Copied, Copier
from tasks.transfer.copy.meter import Report
from tasks.transfer.lost_starts import Attempts
from tasks.transfer.plan.plan import Copy
from tasks.transfer.ports import CopyLedger, CopyOutcome, MayRetry, Runs

LOG: Final = logging.getLogger(__name__)


class CopyStep(msgspec.Struct, frozen=True, kw_only=True):
    """The step that carries out one copy."""

    ledger: CopyLedger
    copier: Copier
    runs: Runs
    attempts: Attempts

    def run(
        self,
        push_id: str,
        digest: str,
        *,
        may_retry: MayRetry,
        tell: Report = lambda _: None,
        end: Callable[[CopyOutcome], None] = lambda _: None,
    ) -> ImagePusherError | None:
        """Copy and record the outcome; return the error instead if a registry may answer later and tries are left.

        `may_retry` gets the error and the number of tries that the plan allows, `tell` the progress, `end` the outcome.
        Raises PushCancelled when the worker shuts down, StateUnavailable, PartBusy.
        """
        with self.runs.hold(push_id, digest):
            taken = self.ledger.take_copy(push_id, digest)
            if taken.planned is None:
                LOG.warning("Push %s: the ledger has no copy of %s any more", push_id, digest)
                return None
            if taken.outcome is not None:
                return None
            try:
                _ensure_wanted(push_id, cancelled=taken.cancelled)
                with self.attempts.attempt(push_id, digest, taken.lost, f"The copy of {digest}"):
                    report = partial(self._report, push_id, tell)
                    with listening() as warnings, _told(push_id, digest):
                        copied = self.copier.copy(taken.planned, report, taken.content)
                    self.ledger.warn(push_id, warnings)
                    if copied.transient is not None and may_retry(copied.transient, taken.planned.tries):
                        raise copied.transient
                    self._end(push_id, copied, end)
            except ImagePusherError as error:
                if error.gives_back:
                    raise
                if error.passes and may_retry(error, taken.planned.tries):
                    return error
                self._end(push_id, _failed(taken.planned, error), end)
            return None

    def _end(self, push_id: str, copied: Copied, end: Callable[[CopyOutcome], None]) -> None:
        self.ledger.record_copy(push_id, copied.outcome, copied.progress)
        for repository, error in copied.outcome.errors.items():
            LOG.warning("%s did not get %s (%s): %s", repository, copied.outcome.digest, error.code, error)
        end(copied.outcome)

    def _report(self, push_id: str, tell: Report, progress: contract.CopyProgress) -> None:
        _ensure_wanted(push_id, cancelled=self.ledger.is_cancelled(push_id))
        self.ledger.record_progress(push_id, progress)
        tell(progress)


@contextmanager
def _told(push_id: str, digest: str) -> Iterator[None]:
    """Log any error that this program did not foresee, and raise it as an ImagePusherError."""
    try:
        yield
    except ImagePusherError:
        raise
    except Exception as error:
        LOG.exception("Push %s: the copy of %s broke", push_id, digest)
        raise ImagePusherError(f"The copy of {digest} broke ({type(error).__name__}): see the worker's log.") from None


def _ensure_wanted(push_id: str, *, cancelled: bool) -> None:
    if cancelled:
        raise PushCancelledByUser(f"The push {push_id} was cancelled. `imagepusher retry {push_id}` completes it.")


def _failed(planned: Copy, error: ImagePusherError) -> Copied:
    """Return the outcome of a copy that reached none of its repositories."""
    errors = {str(name): error for name in planned.destinations}
    progress = contract.CopyProgress(digest=planned.digest, ended=True, failed=True)
    return Copied(CopyOutcome(digest=planned.digest, errors=errors), progress, None)
