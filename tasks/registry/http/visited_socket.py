"""Waits at a socket for the sake of a copy, which gives its place back where others need it (BEHAVIOUR 8.4)."""

import math
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import Final, NamedTuple

from tasks.registry.registry_share import Visit

# Returns the visit for whose sake the calling thread waits, if any.
Visiting = Callable[[], Visit | None]
# How long a silent wait goes on before it is asked whether others need the place.
_GLANCE_SECONDS: Final = 1.0


class Patience(NamedTuple):
    """How many seconds the head of an answer may take at most, and for how many of them that is usual.

    The usual ones do not count as a wait for a slow registry.
    """

    most: float
    usual: float = 0.0


def nobody() -> Visit | None:
    """Return no visit: the wait counts for no copy."""
    return None


def send_all(sock: socket.socket, content: bytes | memoryview, visit: Visit | None) -> None:
    """Send all bytes, each within the socket's timeout.

    Raises SourceSlow or DestinationSlow if others need the place.
    """
    if visit is None:
        sock.sendall(content)
        return
    left = memoryview(content)
    while left:
        left = left[_move(sock, visit, partial(sock.send, left)) :]


def receive_into(sock: socket.socket, buffer: memoryview, visit: Visit, usual: float = 0.0) -> int:
    """Receive bytes within the socket's timeout, and return their number; the first `usual` seconds do not count.

    Raises SourceSlow or DestinationSlow if others need the place.
    """
    return _move(sock, visit, lambda: sock.recv_into(buffer), usual)


def _move(sock: socket.socket, visit: Visit, act: Callable[[], int], usual: float = 0.0) -> int:
    """Return the number of bytes that `act` moved, within the timeout of the socket."""
    patience = sock.gettimeout()
    counts_from = time.monotonic() + usual
    ends = math.inf if patience is None else time.monotonic() + patience
    moved: Callable[[int], None] | None = None
    try:
        with ExitStack() as waiting:
            while (now := time.monotonic()) < ends:
                if moved is None and now >= counts_from:
                    moved = waiting.enter_context(visit.wait())
                visit.check()
                sock.settimeout(min(ends - now, _GLANCE_SECONDS))
                with suppress(TimeoutError):
                    count = act()
                    if moved is not None:
                        moved(count)
                    return count
            raise TimeoutError("timed out")
    finally:
        sock.settimeout(patience)
