"""How many messages wait in each queue, whatever the broker."""

from typing import Any

from celery import Celery
from kombu.exceptions import ChannelError

from tasks.contract import PUSH_QUEUE, QUEUES
from workers.broker.app import NOTED_QUEUE


def _length(channel: Any, name: str, *, on_redis: bool) -> int:
    # kombu looks for a queue on Redis without the prefix of our keys, and finds none; to declare one there only counts.
    return int(channel.queue_declare(queue=name, passive=not on_redis).message_count)


def queue_lengths(app: Celery) -> dict[str, int]:
    """Return the messages that wait, by queue; a queue that does not exist yet holds none.

    Raises kombu's OperationalError where the broker does not answer.
    """
    lengths = {}
    with app.connection_for_read() as connection:
        on_redis = connection.transport.driver_type == "redis"
        for name in QUEUES:
            try:
                lengths[name] = _length(connection.channel(), name, on_redis=on_redis)
            except ChannelError:
                lengths[name] = 0
        if on_redis:
            lengths[PUSH_QUEUE] += _length(connection.channel(), NOTED_QUEUE, on_redis=True)
    return lengths
