"""`imagepusher.preview.v1`: preview a push."""

from typing import Any

import msgspec
from celery import Task, shared_task

from tasks import contract
from tasks.celery_glue import inspections, runtime
from tasks.celery_glue.message import sender_of
from tasks.errors import ImagePusherError
from tasks.transfer.ports import INSPECTION


@shared_task(name=contract.PREVIEW_TASK, bind=True, throws=(ImagePusherError,))
def preview(self: Task[Any, Any], request: Any) -> Any:
    """Return the preview of a push; writes nothing."""
    here = runtime.of_app(self.app)
    with here.runs.hold(str(self.request.id), INSPECTION):
        return msgspec.to_builtins(inspections.preview(here, request, sender_of(self)))
