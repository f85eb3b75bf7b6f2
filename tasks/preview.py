"""`imagepusher.preview.v1`: preview a push."""

from typing import Any

import msgspec
from celery import Task, shared_task

from tasks import contract
from tasks.celery_glue import runtime
from tasks.celery_glue.message import sender_of
from tasks.errors import ImagePusherError
from tasks.transfer.after.preview import look_at_copies
from tasks.transfer.after.preview import preview as preview_push
from tasks.transfer.ports import INSPECTION
from tasks.transfer.publish.report import preview_obstacles


@shared_task(name=contract.PREVIEW_TASK, bind=True, throws=(ImagePusherError,))
def preview(self: Task[Any, Any], request: Any) -> Any:
    """Return the preview of a push; writes nothing."""
    here = runtime.of_app(self.app)
    with here.runs.hold(str(self.request.id), INSPECTION):
        plan = here.push.preview(request, sender_of(self))
        looks = look_at_copies(plan, here.registries)
        copies = {look.outcome.digest: look.outcome for look in looks}
        return msgspec.to_builtins(preview_obstacles(plan, preview_push(plan, looks), copies))
