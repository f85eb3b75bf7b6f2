"""`imagepusher.undo.v1`: undo a push."""

from typing import Any

import msgspec
from celery import Task, shared_task

from tasks import contract
from tasks.celery_glue import runtime
from tasks.celery_glue.message import sender_of
from tasks.errors import ImagePusherError
from tasks.oci.reference import Reference
from tasks.transfer.ports import INSPECTION
from tasks.transfer.steps.undo import UndoStep


@shared_task(name=contract.UNDO_TASK, bind=True, throws=(ImagePusherError,))
def undo(
    self: Task[Any, Any],
    push_id: str,
    dry_run: bool = False,  # noqa: FBT001, FBT002 - as in the message
    leave_moved: bool = False,  # noqa: FBT001, FBT002 - as above
) -> Any:
    """Restore or delete each tag that a push moved, or preview that with `dry_run`.

    Raises PushUnknown, NotPermitted.
    """
    here = runtime.of_app(self.app)
    step = UndoStep(registries=here.registries, ledger=here.ledger, locks=here.locks)
    with here.runs.hold(str(self.request.id), INSPECTION):
        here.ledger.progress(push_id)
        intents = here.ledger.intents(push_id)
        here.push.policy.check(sender_of(self), "undo", None, intents)
        here.registries.check_hosts("destination", (Reference.parse(reference).registry for reference in intents))
        act = step.preview if dry_run else step.run
        return msgspec.to_builtins(act(push_id, leave_moved=leave_moved))
