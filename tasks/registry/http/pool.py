"""Idle connections, which serve whichever thread asks next."""

import threading
from typing import Final

from tasks.registry.http.connection import Connection

# Few hosts are asked again and again: a registry, its realm, the store of its blobs.
_MOST_ORIGINS: Final = 10


class Pool:
    """Idle connections by origin; the one that was used last serves next. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._idle: dict[str, list[Connection]] = {}
        self._closed = 0

    def __del__(self) -> None:
        self.close()

    @property
    def generation(self) -> int:
        """The number of times that it was closed: a connection from before is not kept."""
        return self._closed

    def take(self, origin: str) -> Connection | None:
        """Return an idle connection that can serve a request, if there is one."""
        while True:
            with self._guard:
                idle = self._idle.get(origin)
                connection = idle.pop() if idle else None
            if connection is None or connection.is_usable:
                return connection
            connection.close()

    def put(self, origin: str, connection: Connection, generation: int) -> None:
        """Keep a connection whose answer has ended."""
        with self._guard:
            if generation == self._closed:
                # The origin that was used last is the last one to go.
                self._idle[origin] = [*self._idle.pop(origin, ()), connection]
                superfluous = self._idle.pop(next(iter(self._idle))) if len(self._idle) > _MOST_ORIGINS else []
            else:
                superfluous = [connection]
        for each in superfluous:
            each.close()

    def close(self) -> None:
        """Close all idle connections."""
        with self._guard:
            closing, self._idle = self._idle, {}
            self._closed += 1
        for connections in closing.values():
            for connection in connections:
                connection.close()
