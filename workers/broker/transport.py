"""kombu's transport for Redis, with which a worker outlives the loss of its connection, and messages cost less.

kombu 5.7 takes a connection that broke apart twice. A channel that was waiting for messages while tasks were running
then wants to put these back into their queues, by a connection that knows no address any more: the AttributeError ends
the worker. What such a channel holds stays where it is, and the watchdog gives back what nobody works on.
"""

import json
import logging
import time
from queue import Empty
from typing import Any, Final

from kombu.transport import redis
from redis.exceptions import ResponseError

from workers.broker.messages import is_envelope

LOG: Final = logging.getLogger(__name__)
# Such a key is an error each time that it is asked for.
_PAUSE_SECONDS: Final = 1.0


class _QoS(redis.QoS):
    """What was delivered and is not acknowledged; of a connection that was taken apart, nothing is any more."""

    @property
    def _is_apart(self) -> bool:
        return self.channel.connection is None or self.channel.connection.client is None  # type: ignore[redundant-expr]

    def restore_unacked(self, client: Any = None) -> None:
        if not self._is_apart:
            super().restore_unacked(client)

    def ack(self, delivery_tag: str) -> None:
        if not self._is_apart:
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        if not self._is_apart:
            super().reject(delivery_tag, requeue=requeue)


class _Channel(redis.Channel):
    QoS = _QoS
    _made: Any = None

    def _brpop_read(self, **options: Any) -> Any:
        """Take a message; what lies in a queue and is none, and a key that is no queue, are told of and survived."""
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except ResponseError as error:
            LOG.error("The queues %s cannot be read: %s.", ", ".join(sorted(self.active_queues)), error)  # noqa: TRY400
            time.sleep(_PAUSE_SECONDS)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            LOG.error("What lay in a queue is no message, and is thrown away (%s).", type(error).__name__)  # noqa: TRY400
        raise Empty

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - kombu's signature
        # kombu makes one for each message that it sends, takes or acknowledges: half of what that costs.
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[misc]
        if self._made is None or self._made.connection_pool is not self.pool:
            self._made = super()._create_client()  # type: ignore[misc]
        return self._made


class _SentinelChannel(_Channel, redis.SentinelChannel):
    """The same, where Sentinels say which Redis it is."""


class _Careful:
    """Delivers what has the form of a message, and throws anything else away: kombu would end the worker over it."""

    def _deliver(self, message: Any, queue: Any) -> Any:
        if is_envelope(message):
            return super()._deliver(message, queue)  # type: ignore[misc]
        return LOG.error("What lay in the queue %s is no message, and is thrown away.", queue)


class Transport(_Careful, redis.Transport):
    """The transport of redis:// and rediss://."""

    Channel = _Channel


class SentinelTransport(_Careful, redis.SentinelTransport):
    """The transport of sentinel://."""

    Channel = _SentinelChannel
