"""What a worker that takes pushes itself answers to monitors such as Flower."""

from typing import Any

from celery.worker.control import inspect_command

from tasks.contract import PUSH_QUEUE
from workers.broker.app import NOTED_QUEUE


def answer_with_intake() -> None:
    """Let monitors see the queue of pushes beside the one that Celery takes them from."""
    inspect_command(name="active_queues", alias="dump_active_queues")(_active_queues)


def _active_queues(state: Any) -> list[dict[str, Any]]:
    consumer = state.consumer.task_consumer
    queues = [queue.as_dict(recurse=True) for queue in consumer.queues] if consumer else []
    return queues + [{**queue, "name": PUSH_QUEUE} for queue in queues if queue["name"] == NOTED_QUEUE]
