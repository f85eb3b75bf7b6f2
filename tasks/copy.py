"""`imagepusher.copy.v1`: bring one digest into all of its destination repositories."""

from typing import Any

from celery import Task, shared_task

from tasks import contract
from tasks.celery_glue import display as monitors
from tasks.celery_glue import runtime
from tasks.celery_glue.redelivery import Deliveries


# Results of header tasks are ignored: outcomes go to the ledger as they happen, and the window between storing a result
# and counting the part of the chord closes.
@shared_task(name=contract.COPY_TASK, bind=True, max_retries=None, ignore_result=True)
def copy(self: Task[Any, Any], push_id: str, digest: str) -> str | None:
    """Copy and record the outcome; raises only to be delivered again, so that the callback of the chord always runs."""
    here = runtime.of_app(self.app)
    meter = monitors.CopyMeter(monitors.progress_of(self))
    deliveries = Deliveries(self, here, push_id, digest)
    with deliveries.given_back():
        transient = here.copy.run(
            push_id,
            digest,
            may_retry=deliveries.may_follow,
            tell=meter,
            end=meter.end,
        )
        if transient is not None:
            raise deliveries.later(transient)
    # Nobody stores it; monitors show it.
    return meter.text
