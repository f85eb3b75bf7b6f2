"""Connections to the broker; one on Redis has a transport of this program."""

from typing import Any, Final

import kombu
from kombu.connection import ConnectionPool, PooledConnection
from kombu.transport import get_transport_cls

# By name: the module is imported only with such a broker.
_TRANSPORT: Final = "workers.broker.transport:Transport"
_TRANSPORTS: Final = {
    "redis": _TRANSPORT,
    "rediss": _TRANSPORT,
    "sentinel": "workers.broker.transport:SentinelTransport",
}


class BrokerConnection(kombu.Connection):
    """kombu's connection, with the transports of `workers/broker/transport.py` for Redis."""

    def get_transport_cls(self) -> Any:
        """Return the class of the transport for the scheme of the broker's URL."""
        return get_transport_cls(_TRANSPORTS.get(self.transport_cls, self.transport_cls))

    def Pool(self, limit: int | None = None, **_: Any) -> ConnectionPool:  # noqa: N802 - kombu's name
        """Return a pool of such connections: messages are sent by one of a pool."""
        return _Pool(self, limit)


class _Pooled(PooledConnection, BrokerConnection):  # type: ignore[misc]
    """A connection of a pool."""


class _Pool(ConnectionPool):
    def new(self) -> _Pooled:
        # kombu would make a connection of its own kind, with its own transport.
        return _Pooled(self, **dict(self.connection._info(resolve=False)))  # noqa: SLF001 - as kombu does
