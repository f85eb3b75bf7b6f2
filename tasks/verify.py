"""`imagepusher.verify.v1`: compare the destination with the report of a push."""

from functools import partial
from typing import Any

import msgspec
from celery import Task, shared_task

from tasks import contract
from tasks.celery_glue import runtime
from tasks.errors import ImagePusherError, PushUnknown
from tasks.oci.reference import Reference
from tasks.transfer.after.verify import verify as verify_push
from tasks.transfer.ports import INSPECTION


@shared_task(name=contract.VERIFY_TASK, bind=True, throws=(ImagePusherError,))
def verify(self: Task[Any, Any], push_id: str) -> Any:
    """Compare each tag of a push with its report."""
    here = runtime.of_app(self.app)
    with here.runs.hold(str(self.request.id), INSPECTION):
        report = here.ledger.report(push_id)
        if report is None:
            raise PushUnknown(f"No report of a push {push_id!r} is known here.")
        tags = (tag.reference for item in report.items for tag in item.tags)
        here.registries.check_hosts("destination", (Reference.parse(reference).registry for reference in tags))
        plan, content = here.ledger.plan(push_id), partial(here.ledger.content, push_id)
        receipts = here.ledger.receipts(push_id)
        return msgspec.to_builtins(verify_push(report, here.registries, here.executor, plan, content, receipts))
