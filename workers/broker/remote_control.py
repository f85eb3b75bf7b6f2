"""Remote control of a worker with an intake, for monitors such as Flower."""

from collections.abc import Iterable
from typing import Any

from celery.utils.functional import maybe_list
from celery.worker import control
from celery.worker.control import control_command, inspect_command

from tasks.contract import PUSH_QUEUE, is_push_id
from tasks.transfer.ports import Ledger
from workers.broker.app import NOTED_QUEUE


def answer_with_intake() -> None:
    """Show monitors the queue of pushes too, not only the queue that Celery consumes."""
    inspect_command(name="active_queues", alias="dump_active_queues")(_active_queues)


def _active_queues(state: Any) -> list[dict[str, Any]]:
    consumer = state.consumer.task_consumer
    queues = [queue.as_dict(recurse=True) for queue in consumer.queues] if consumer else []
    return queues + [{**queue, "name": PUSH_QUEUE} for queue in queues if queue["name"] == NOTED_QUEUE]


def cancel_what_is_revoked(ledger: Ledger) -> None:
    """Cancel a push when its task is revoked: Celery forgets revoked tasks when its workers end."""
    revoke: Any = vars(control)["revoke"]

    def cancelling(state: Any, task_id: Any, **options: Any) -> Any:
        cancel_pushes(ledger, maybe_list(task_id) or [])
        return revoke(state, task_id, **options)

    control_command(name="revoke", variadic="task_id", signature="[id1 [id2 [... [idN]]]]")(cancelling)


def cancel_pushes(ledger: Ledger, task_ids: Iterable[str]) -> None:
    """Mark each open push with one of these task ids as cancelled, and tasks of no open push as spent."""
    revoked = {task_id for task_id in task_ids if is_push_id(task_id)}
    for push in ledger.open_pushes():
        if push.task_id in revoked:
            ledger.mark_cancelled(push.push_id)
            revoked.remove(push.task_id)
    # Their messages may lie in a queue: whoever takes one later asks the ledger.
    for task_id in revoked:
        ledger.mark_spent(task_id)
