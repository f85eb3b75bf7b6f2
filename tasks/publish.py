"""`imagepusher.publish.v1`: move the tags of a push when all of its copies ended."""

from typing import Any

import msgspec
from celery import Task, shared_task

from tasks import contract, runtime
from tasks.delivery import returned_to_queue
from tasks.errors import PushFailed, PushUnknown
from tasks.transfer.report import summary


@shared_task(name=contract.PUBLISH_TASK, bind=True, max_retries=None, throws=(PushFailed, PushUnknown))
def publish(self: Task[Any, Any], push_id: str) -> Any:
    """Return the report; raises PushFailed with it if any tag failed, so that monitors show the push as failed."""
    with returned_to_queue(self):
        return result_of(runtime.of(self.app).concluding.conclude(push_id))


def result_of(report: contract.PushReport) -> Any:
    """Return a report as the result of its task; raises PushFailed with it if anything failed (BEHAVIOUR 6.3)."""
    if report.state != "succeeded":
        raise PushFailed(summary(report), msgspec.to_builtins(report))
    return msgspec.to_builtins(report)
