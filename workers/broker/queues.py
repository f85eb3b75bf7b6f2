"""The number of waiting messages in each queue, for any broker."""

from typing import Any

from celery import Celery
from kombu.exceptions import ChannelError

from tasks.contract import PUSH_QUEUE, QUEUES
from workers.broker.app import NOTED_QUEUE


def _length(channel: Any, name: str, *, on_redis: bool) -> int:
    # On Redis, kombu's passive check omits our key prefix and finds no queue; declaring a queue only counts messages.
    return int(channel.queue_declare(queue=name, passive=not on_redis).message_count)


def queue_lengths(app: Celery) -> dict[str, int]:
    """Return the number of waiting messages by queue; a queue that does not exist yet has none.

    Raises kombu's OperationalError if the broker does not answer.
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
