"""How many messages wait in each queue, whatever the broker."""

from typing import Any

from celery import Celery
from kombu.exceptions import ChannelError

from tasks.contract import QUEUES


def _length(channel: Any, name: str) -> int:
    return int(channel.queue_declare(queue=name, passive=True).message_count)


def queue_lengths(app: Celery) -> dict[str, int]:
    """Return the messages that wait, by queue; a queue that does not exist yet holds none.

    Raises kombu's OperationalError where the broker does not answer.
    """
    lengths = {}
    with app.connection_for_read() as connection:
        for name in QUEUES:
            try:
                lengths[name] = _length(connection.channel(), name)
            except ChannelError:
                lengths[name] = 0
    return lengths
