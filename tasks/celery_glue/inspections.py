"""The work of the tasks preview, verify and undo, without Celery."""

from collections.abc import Iterable
from functools import partial

from tasks import contract
from tasks.celery_glue.runtime import Runtime
from tasks.errors import PushUnknown
from tasks.oci.reference import Reference
from tasks.transfer.inspection.preview import look_at_copies
from tasks.transfer.inspection.preview import preview as preview_push
from tasks.transfer.inspection.verify import verify as verify_push
from tasks.transfer.publish.report import preview_obstacles
from tasks.transfer.steps.undo import UndoStep
from tasks.transfer.undo.reversible import preview_release


def preview(here: Runtime, request: object, sender: str | None = None) -> contract.Preview:
    """Return the preview of a push; writes nothing. Raises NotPermitted, RequestInvalid."""
    plan = preview_release(here.push.preview(request, sender), here.registries)
    looks = look_at_copies(plan, here.registries)
    copies = {look.outcome.digest: look.outcome for look in looks}
    return preview_obstacles(plan, preview_push(plan, looks), copies)


def verify(here: Runtime, push_id: str) -> contract.Verification:
    """Compare each tag of a push with its report; raises PushUnknown."""
    _check_id(push_id)
    report = here.ledger.report(push_id)
    if report is None:
        raise PushUnknown(f"No report of a push {push_id!r} is known here.")
    tags = (tag.reference for item in report.items for tag in item.tags)
    _check_hosts(here, tags)
    plan, content = here.ledger.plan(push_id), partial(here.ledger.content, push_id)
    return verify_push(report, here.registries, here.executor, plan, content, here.ledger.receipts(push_id))


def undo(
    here: Runtime, push_id: str, sender: str | None = None, *, dry_run: bool = False, leave_moved: bool = False
) -> contract.Undo:
    """Restore or delete each tag that a push moved, or preview that; raises PushUnknown, NotPermitted."""
    step = UndoStep(registries=here.registries, ledger=here.ledger, locks=here.locks)
    _check_id(push_id)
    here.ledger.progress(push_id)
    here.push.check_undo(push_id, sender)
    _check_hosts(here, here.ledger.intents(push_id))
    act = step.preview if dry_run else step.run
    return act(push_id, leave_moved=leave_moved)


def _check_id(push_id: object) -> None:
    """Raise PushUnknown for what is no push id: it could be the key of another push's records."""
    if not isinstance(push_id, str) or not contract.is_push_id(push_id):
        raise PushUnknown("The id of a push is a string of at most 128 letters, digits, '.', '_', ':' and '-'.")


def _check_hosts(here: Runtime, references: Iterable[str]) -> None:
    here.registries.check_hosts("destination", (Reference.parse(reference).registry for reference in references))
