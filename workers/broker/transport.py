"""kombu's transport for Redis, changed to survive the loss of a connection and to make messages cheaper.

kombu 5.7 closes a broken connection twice. A channel that was waiting for messages while tasks were running then tries
to return these tasks to their queues through a connection that has no address any more: the AttributeError ends the
worker. Here, the messages of such a channel stay where they are, and the watchdog returns those of dead workers.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any, Final

from kombu.transport import redis, virtual
from kombu.utils.json import dumps
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import ResponseError

from tasks import contract
from workers.broker.app import NOTED_QUEUE
from workers.broker.messages import is_envelope

LOG: Final = logging.getLogger(__name__)
# Where a message goes back to, by the queue that it is taken from; a push passes the intake again.
_HOMES: Final = {queue: queue for queue in contract.QUEUES} | {NOTED_QUEUE: contract.PUSH_QUEUE}
# The pause after an error: a key that is not a queue fails at each read.
_PAUSE_SECONDS: Final = 1.0
# Notes the message ARGV[3] as taken, under the tag ARGV[2] at the time ARGV[1].
_TAKEN: Final = """
    redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
    redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
"""
# Forgets the taken message with the tag ARGV[1].
_ANSWERED: Final = """
    redis.call('ZREM', KEYS[1], ARGV[1])
    redis.call('HDEL', KEYS[2], ARGV[1])
"""


class _QoS(redis.QoS):
    """The delivered, unacknowledged messages; a closed connection has none.

    A message that cannot be answered stays in Redis, and the watchdog returns it to its queue. Its room for the next
    message is free at once: kombu would keep it taken, and a worker without room takes nothing any more.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._scripts: dict[str, Any] = {}

    @property
    def _is_apart(self) -> bool:
        return self.channel.connection is None or self.channel.connection.client is None  # type: ignore[redundant-expr]

    def restore_unacked(self, client: Any = None) -> None:
        if not self._is_apart:
            super().restore_unacked(client)

    def append(self, message: Any, delivery_tag: str) -> None:
        told = message.delivery_info
        body = dumps([message._raw, told["exchange"], told["routing_key"]])  # noqa: SLF001 - kombu's own form
        self._run(_TAKEN, time.time(), delivery_tag, body)
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        if not self._is_apart:
            with self._room_after_failure(delivery_tag):
                self._run(_ANSWERED, delivery_tag)
                virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        if not requeue:
            self.ack(delivery_tag)
        elif not self._is_apart:
            with self._room_after_failure(delivery_tag):
                super().reject(delivery_tag, requeue=True)

    def _run(self, script: str, *args: Any) -> None:
        """Run a script on the index of taken messages and on the messages: kombu takes four commands for the two."""
        channel: Any = self.channel
        with channel.conn_or_acquire() as client:
            if script not in self._scripts:
                self._scripts[script] = client.register_script(script)
            # kombu's client puts its prefix before the first key only.
            keys = [self.unacked_index_key, f"{channel.global_keyprefix}{self.unacked_key}"]
            self._scripts[script](keys=keys, args=args, client=client)

    @contextmanager
    def _room_after_failure(self, delivery_tag: str) -> Iterator[None]:
        try:
            yield
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise


class _Channel(redis.Channel):
    QoS = _QoS
    _made: Any = None

    def _connparams(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - kombu's signature
        # Another thread, that of the consumer, closes all channels when their Redis is gone. kombu would raise an
        # AttributeError then, which nobody tries again.
        if self.connection is None or self.connection.client is None:  # type: ignore[redundant-expr]
            raise LostConnection("this channel was closed meanwhile")
        return super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]

    def _brpop_read(self, **options: Any) -> Any:
        """Take a message; log and skip a queue entry that is not a message, and a key that is not a queue."""
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except ResponseError as error:
            LOG.error("The queues %s cannot be read: %s.", ", ".join(sorted(self.active_queues)), error)  # noqa: TRY400
            time.sleep(_PAUSE_SECONDS)
        except (ValueError, RecursionError) as error:
            LOG.error("What lay in a queue is no message, and is thrown away (%s).", type(error).__name__)  # noqa: TRY400
        raise Empty

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - kombu's signature
        # kombu makes a client for each message that it sends, takes or acknowledges: half of the cost of a message.
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[misc]
        if self._made is None or self._made.connection_pool is not self.pool:
            self._made = super()._create_client()  # type: ignore[misc]
        return self._made


class _SentinelChannel(_Channel, redis.SentinelChannel):
    """The same channel to the primary that Sentinels name."""


class _Careful:
    """A transport that drops malformed messages: kombu would end the worker on them.

    A message that is given back goes to its own queue: kombu would put it where its sender says.
    """

    def _deliver(self, message: Any, queue: Any) -> Any:
        if not is_envelope(message):
            return LOG.error("What lay in the queue %s is no message, and is thrown away.", queue)
        if queue in _HOMES:
            properties = message["properties"]
            home = {"exchange": "", "routing_key": _HOMES[queue]}
            properties["delivery_info"] = properties.get("delivery_info", {}) | home
        return super()._deliver(message, queue)  # type: ignore[misc]


class Transport(_Careful, redis.Transport):
    """The transport of redis:// and rediss://."""

    Channel = _Channel


class SentinelTransport(_Careful, redis.SentinelTransport):
    """The transport of sentinel://."""

    Channel = _SentinelChannel
