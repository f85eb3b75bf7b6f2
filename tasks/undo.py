"""`imagepusher.undo.v1`: undo a push."""

from typing import Any

import msgspec
from celery import Task, shared_task
from celery.exceptions import Reject

from tasks import contract
from tasks.celery_glue import inspections, runtime
from tasks.celery_glue.message import sender_of
from tasks.errors import ImagePusherError
from tasks.transfer.ports import INSPECTION


@shared_task(name=contract.UNDO_TASK, bind=True, throws=(ImagePusherError,))
def undo(
    self: Task[Any, Any],
    push_id: str,
    dry_run: bool = False,  # noqa: FBT001, FBT002 - as in the message
    leave_moved: bool = False,  # noqa: FBT001, FBT002 - as above
) -> Any:
    """Restore or delete each tag that a push moved, or preview that with `dry_run`.

    Without the ledger's Redis the message goes back to its queue as it was signed: half of a release must not stay.
    Raises PushUnknown, NotPermitted.
    """
    here = runtime.of_app(self.app)
    try:
        with here.runs.hold(str(self.request.id), INSPECTION):
            undone = inspections.undo(here, push_id, sender_of(self), dry_run=dry_run, leave_moved=leave_moved)
    except ImagePusherError as error:
        if not error.gives_back:
            raise
        raise Reject(error.message, requeue=True) from None
    if not dry_run:
        # Another undo has a task of its own: this one, sent again, would undo what was retried since.
        here.ledger.mark_spent(str(self.request.id))
    return msgspec.to_builtins(undone)
