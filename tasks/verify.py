"""`imagepusher.verify.v1`: compare the destination with the report of a push."""

from typing import Any

import msgspec
from celery import Task, shared_task

from tasks import contract
from tasks.celery_glue import inspections, runtime
from tasks.errors import ImagePusherError
from tasks.transfer.ports import INSPECTION


@shared_task(name=contract.VERIFY_TASK, bind=True, throws=(ImagePusherError,))
def verify(self: Task[Any, Any], push_id: str) -> Any:
    """Compare each tag of a push with its report."""
    here = runtime.of_app(self.app)
    with here.runs.hold(str(self.request.id), INSPECTION):
        return msgspec.to_builtins(inspections.verify(here, push_id))
