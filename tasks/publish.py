"""`imagepusher.publish.v1`: move the tags of a push when all of its copies ended."""

from typing import Any

import msgspec
from celery import Task, shared_task

from tasks import contract, runtime
from tasks.errors import PushFailed
from tasks.transfer.report import summary


@shared_task(name=contract.PUBLISH_TASK, bind=True, max_retries=10, throws=(PushFailed,))
def publish(self: Task[Any, Any], push_id: str) -> Any:
    """Return the report; raises PushFailed with it if any tag failed, so that monitors show the push as failed."""
    report = runtime.of(self.app).concluding.conclude(push_id)
    if report.state != "succeeded":
        raise PushFailed(summary(report), msgspec.to_builtins(report))
    return msgspec.to_builtins(report)
