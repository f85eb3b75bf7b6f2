"""`imagepusher.copy.v1`: bring one digest into all of its destination repositories."""

import logging
from typing import Any, Final

from celery import Task, shared_task
from celery.exceptions import Reject
from redis.exceptions import RedisError

from tasks import contract, runtime
from tasks.errors import PushCancelled, RegistryUnavailable
from tasks.retrying import pause, tries_left
from tasks.transfer.ports import CopyOutcome

LOG: Final = logging.getLogger(__name__)


# Results of header tasks are ignored: outcomes go to the ledger as they happen, and the window between storing a result
# and counting the part of the chord closes.
@shared_task(name=contract.COPY_TASK, bind=True, max_retries=10, ignore_result=True)
def copy(self: Task[Any, Any], push_id: str, digest: str) -> None:
    """Copy and record the outcome; raises only to be delivered again, so that the callback of the chord always runs."""
    here = runtime.of(self.app)
    try:
        planned = here.ledger.planned_copy(push_id, digest)
        if planned is None:
            LOG.warning("Push %s: the ledger has no copy of %s any more", push_id, digest)
            return
        outcome, transient = here.copier.copy(planned, lambda done: here.ledger.record_progress(push_id, done))
        if transient is not None and tries_left(self, min(here.task_tries, planned.tries)):
            raise self.retry(countdown=pause(self, transient))
    except PushCancelled:
        raise Reject("the worker is shutting down", requeue=True) from None
    except RedisError as error:
        raise self.retry(countdown=pause(self, RegistryUnavailable(type(error).__name__))) from None
    except (KeyError, ValueError, TypeError, AttributeError, OSError):
        LOG.exception("Push %s: the copy of %s broke", push_id, digest)
        fault = contract.Fault("internal_error", f"The copy of {digest} broke; the worker's log has the traceback.")
        failed = {"/".join(destination): fault for destination in planned.destinations} if planned else {}
        outcome = CopyOutcome(digest=digest, faults=failed)
    here.ledger.record_copy(push_id, outcome)
