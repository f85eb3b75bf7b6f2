"""`imagepusher.preview.v1`, `.verify.v1` and `.undo.v1`: what would happen, whether it did, and how to take it back."""

from typing import Any, Final

import msgspec
from celery import Task, shared_task

from tasks import contract, runtime
from tasks.errors import ImagePusherError, PushUnknown
from tasks.transfer import preview as previewing
from tasks.transfer import undo as undoing
from tasks.transfer import verify as verifying

# While one runs, it holds a run of this name: so it is seen that its worker is alive.
PART: Final = "inspection"


@shared_task(name=contract.PREVIEW_TASK, bind=True, throws=(ImagePusherError,))
def preview(self: Task[Any, Any], request: Any) -> Any:
    """Return what a push would do; nothing is written."""
    here = runtime.of(self.app)
    with here.runs.hold(str(self.request.id), PART):
        return msgspec.to_builtins(previewing.preview(here.accepting.preview(request), here.registries))


@shared_task(name=contract.VERIFY_TASK, bind=True, throws=(ImagePusherError,))
def verify(self: Task[Any, Any], push_id: str) -> Any:
    """Compare the destination with the report of a push."""
    here = runtime.of(self.app)
    with here.runs.hold(str(self.request.id), PART):
        report = here.ledger.report(push_id)
        if report is None:
            raise PushUnknown(f"No report of a push {push_id!r} is known here.")
        return msgspec.to_builtins(verifying.verify(report, here.registries, here.executor))


@shared_task(name=contract.UNDO_TASK, bind=True, throws=(ImagePusherError,))
def undo(self: Task[Any, Any], push_id: str) -> Any:
    """Put the tags of a push back."""
    here = runtime.of(self.app)
    with here.runs.hold(str(self.request.id), PART):
        here.ledger.progress(push_id)
        here.ledger.mark_undone(push_id, "begun")
        undone = undoing.undo(push_id, here.ledger.intents(push_id), here.registries, here.locks)
        here.ledger.mark_undone(push_id, undone.state)
        return msgspec.to_builtins(undone)
