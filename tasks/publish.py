"""`imagepusher.publish.v1`: move the tags of a push after all of its copies ended."""

import logging
from typing import Any, Final

import msgspec
from celery import Task, shared_task
from celery.exceptions import Ignore

from tasks import contract
from tasks.celery_glue import runtime
from tasks.celery_glue.redelivery import Deliveries
from tasks.errors import PushFailed, PushUnknown
from tasks.transfer.publish.report import summary
from tasks.transfer.steps.publish import PART

LOG: Final = logging.getLogger(__name__)


@shared_task(name=contract.PUBLISH_TASK, bind=True, max_retries=None, throws=(PushFailed, PushUnknown))
def publish(self: Task[Any, Any], push_id: str) -> Any:
    """Move the tags and return the report; raises PushFailed with the report if any tag failed, for monitors."""
    here = runtime.of_app(self.app)
    deliveries = Deliveries(self, here, push_id, PART)
    deliveries.view.progress("moving tags")
    with deliveries.given_back():
        try:
            report = here.publish.run(push_id, may_retry=deliveries.may_follow, held_up=deliveries.held_up)
        except PushUnknown:
            if here.ledger.request(push_id) is None:
                raise
            # Redis forgot the push, and it was sent again: it is being planned, and this task is of the run before.
            LOG.warning("Push %s: a task of an earlier run of it has nothing to do", push_id)
            raise Ignore from None
        return result_of(report)


def result_of(report: contract.PushReport) -> Any:
    """Return a report as the result of its task; raises PushFailed with the report if a tag failed (BEHAVIOUR 6.3)."""
    if report.state != "succeeded":
        raise PushFailed(summary(report), msgspec.to_builtins(report))
    return msgspec.to_builtins(report)
