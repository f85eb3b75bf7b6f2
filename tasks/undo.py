"""`imagepusher.undo.v1`: put the tags of a push back."""

from functools import partial
from typing import Any

import msgspec
from celery import Task, shared_task

from tasks import contract
from tasks.celery_glue import runtime
from tasks.celery_glue.message import sender_of
from tasks.errors import ImagePusherError
from tasks.oci.reference import Reference
from tasks.transfer.after.undo import preview_undo
from tasks.transfer.after.undo import undo as undo_push
from tasks.transfer.ports import INSPECTION


@shared_task(name=contract.UNDO_TASK, bind=True, throws=(ImagePusherError,))
def undo(self: Task[Any, Any], push_id: str, dry_run: bool = False) -> Any:  # noqa: FBT001, FBT002 - as in the message
    """Restore or delete each tag that a push moved, or say what would become of it.

    Raises PushUnknown, NotPermitted.
    """
    here = runtime.of_app(self.app)
    with here.runs.hold(str(self.request.id), INSPECTION):
        here.ledger.progress(push_id)
        intents = here.ledger.intents(push_id)
        here.push.policy.check(sender_of(self), "undo", None, intents)
        here.registries.check_hosts("destination", (Reference.parse(reference).registry for reference in intents))
        if dry_run:
            return msgspec.to_builtins(preview_undo(push_id, here.ledger.intents(push_id), here.registries))
        here.ledger.mark_undone(push_id, "begun")
        kept = partial(here.ledger.content, push_id)
        undone = undo_push(push_id, here.ledger.intents(push_id), here.registries, here.locks, kept)
        here.ledger.mark_undone(push_id, undone.state)
        return msgspec.to_builtins(undone)
