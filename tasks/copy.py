"""`imagepusher.copy.v1`: bring one digest into all of its destination repositories."""

from typing import Any

from celery import Task, shared_task

from tasks import contract
from tasks.celery_glue import display as monitors
from tasks.celery_glue import runtime
from tasks.celery_glue.redelivery import later, returned_to_queue, tries_left


# Results of header tasks are ignored: outcomes go to the ledger as they happen, and the window between storing a result
# and counting the part of the chord closes.
@shared_task(name=contract.COPY_TASK, bind=True, max_retries=None, ignore_result=True)
def copy(self: Task[Any, Any], push_id: str, digest: str) -> str | None:
    """Copy and record the outcome; raises only to be delivered again, so that the callback of the chord always runs."""
    here = runtime.of_app(self.app)
    meter = monitors.CopyMeter(monitors.progress_of(self))
    with returned_to_queue(self):
        transient = here.copy.run(
            push_id,
            digest,
            tries_left=lambda tries: tries_left(self, min(tries, here.task_tries)),
            tell=meter,
            end=meter.end,
        )
        if transient is not None:
            raise later(self, transient, lambda due: here.ledger.settle(push_id, digest, quiet_until=due))
    # Nobody stores it; monitors show it.
    return meter.text
