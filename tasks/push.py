"""`imagepusher.push.v1`: plan a push and replace the task by its chord."""

import logging
from typing import Any, Final

from celery import Task, shared_task
from celery.exceptions import Ignore

from tasks import contract
from tasks.celery_glue import runtime
from tasks.celery_glue.canvas import canvas_of
from tasks.celery_glue.message import sender_of
from tasks.celery_glue.redelivery import Deliveries
from tasks.errors import NotPermitted, PushFailed, RequestInvalid
from tasks.publish import result_of
from tasks.transfer.steps.push import PART

LOG: Final = logging.getLogger(__name__)


@shared_task(
    name=contract.PUSH_TASK,
    base=Task,
    bind=True,
    max_retries=None,
    throws=(RequestInvalid, NotPermitted, PushFailed),
    Request="tasks.celery_glue.message:PushMessage",
    Strategy="tasks.celery_glue.message:strategy",
)
def push(self: Task[Any, Any], request: Any) -> Any:
    """Validate, resolve and plan; then replace the task by the chord of copies and publish, under the same task id."""
    here = runtime.of_app(self.app)
    push_id = contract.push_id_of(request, str(self.request.id))
    deliveries = Deliveries(self, here, push_id, PART)
    with deliveries.given_back():
        plan = here.push.run(
            push_id,
            request,
            task_id=str(self.request.id),
            may_retry=deliveries.may_follow,
            sender=sender_of(self),
            redelivered=bool((self.request.delivery_info or {}).get("redelivered")),
        )
        if isinstance(plan, contract.PushReport):
            return result_of(plan)
        if here.ledger.was_sent(push_id):
            raise Ignore
        here.ledger.mark_sent(push_id)
    deliveries.view.progress(f"{len(plan.copies)} to copy")
    try:
        return self.replace(canvas_of(self.app, plan))
    except here.away as error:
        # The number of tasks that were sent is unknown: the watchdog sends the remaining ones again.
        LOG.warning("Push %s: its tasks could not be sent (%s).", push_id, type(error).__name__)
        raise Ignore from None
