"""`imagepusher.copy.v1`: bring one digest into all of its destination repositories."""

from typing import Any

from celery import Task, shared_task

from tasks import contract
from tasks.celery_glue import display, runtime
from tasks.celery_glue.redelivery import Deliveries


# Results of header tasks are ignored: outcomes go to the ledger at once, and no crash can fall between the storage of a
# result and the count of the part in the chord.
@shared_task(name=contract.COPY_TASK, bind=True, max_retries=None, ignore_result=True)
def copy(self: Task[Any, Any], push_id: str, digest: str) -> str | None:
    """Copy and record the outcome; raises only for another delivery, so that the callback of the chord always runs."""
    here = runtime.of_app(self.app)
    deliveries = Deliveries(self, here, push_id, digest)
    meter = display.CopyMeter(deliveries.view.progress, deliveries.went_on)
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
    # Monitors show the text; nothing stores it.
    return meter.text
