"""Return the messages of dead workers to their queues: those that were taken long ago and have no running task.

RabbitMQ does this itself when a worker's connection ends. On Redis, Celery waits for the visibility timeout, which is
longer than the longest task; and a push is in no ledger if its worker died before it recorded it.
"""

import json
import logging
from typing import Any, Final

from celery import Celery

from tasks import contract
from tasks.transfer.ports import INSPECTION, Runs
from tasks.transfer.steps.publish import PART as PUBLISH
from tasks.transfer.steps.push import PART as PUSH
from workers.broker.messages import TaskMessage, read_message

LOG: Final = logging.getLogger(__name__)


def reclaim(app: Celery, runs: Runs, taken_before: float) -> int:
    """Return messages that were taken before a time (seconds since the epoch) to their queues; return their number.

    A message that a worker keeps until it is due stays there. Raises StateUnavailable and kombu's OperationalError.
    """
    reclaimed = 0
    with app.connection_for_write() as connection:
        if connection.transport.driver_type != "redis":
            return 0
        channel: Any = connection.default_channel
        for tag in channel.client.zrange(channel.unacked_index_key, 0, taken_before, byscore=True):
            taken = channel.client.hget(channel.unacked_key, tag)
            if taken is None:
                continue
            message = read_message(json.loads(taken)[0])
            part = _part_of(message) if message is not None and message.due <= taken_before else None
            if part is None or runs.is_held(*part):
                continue
            LOG.warning("A worker that is gone held %s of the push %s: it goes back to its queue.", part[1], part[0])
            channel.qos.restore_by_tag(tag)
            reclaimed += 1
    return reclaimed


def _part_of(message: TaskMessage) -> tuple[str, str] | None:
    """Return the push id and the name of the run that a message is for; None for a message that is not ours."""
    match message.task, message.arguments:
        case contract.PUSH_TASK, [request]:
            return contract.push_id_of(request, message.task_id), PUSH
        case contract.COPY_TASK, [str(push_id), str(digest)]:
            return push_id, digest
        case contract.PUBLISH_TASK, [str(push_id)]:
            return push_id, PUBLISH
        case contract.PREVIEW_TASK | contract.VERIFY_TASK | contract.UNDO_TASK, _:
            return message.task_id, INSPECTION
    return None
