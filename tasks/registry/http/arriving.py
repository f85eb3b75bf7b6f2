"""HTTP responses as they arrive: interim ones are skipped, the head has a deadline, one buffer takes the content."""

import io
import math
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, parse_headers
from typing import Any, Final

from tasks.registry.visits import Visit

_INTERIM: Final = range(100, 200)
# More than one a second during the longest commit.
_MOST_INTERIM: Final = 1000
# How long a silent wait for a source goes on before it is asked whether others need the place.
_GLANCE_SECONDS: Final = 1.0

# Returns the visit for whose sake the calling thread reads, if any.
Visiting = Callable[[], Visit | None]


class _Bytes(io.RawIOBase):
    """The received bytes of a socket; raises TimeoutError after `deadline`, on the monotonic clock.

    A read for the sake of a visit also ends, by SourceSlow, if the visit is one too many.
    """

    def __init__(self, sock: socket.socket, visiting: Visiting) -> None:
        self.deadline: float | None = None
        self.patience = sock.gettimeout()
        self.socket = sock
        self._visiting = visiting
        self._file = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the answer took too long")
            self.socket.settimeout(min(left, self.patience) if self.patience is not None else left)
        visit = self._visiting()
        return self._file.readinto(buffer) if visit is None else self._read(visit, buffer)

    def _read(self, visit: Visit, buffer: Any) -> int:
        patience = self.socket.gettimeout()
        ends = math.inf if patience is None else time.monotonic() + patience
        try:
            with visit.read() as arrived:
                while True:
                    visit.check()
                    left = ends - time.monotonic()
                    if left <= 0:
                        raise TimeoutError("timed out")
                    self.socket.settimeout(min(left, _GLANCE_SECONDS))
                    try:
                        count = self.socket.recv_into(buffer)
                    except TimeoutError:
                        continue
                    arrived(count)
                    return count
        finally:
            self.socket.settimeout(patience)

    def close(self) -> None:
        self._file.close()
        super().close()


class Arriving(HTTPResponse):
    """A response whose whole head must arrive within the socket's timeout, read into one buffer.

    The bytes from `read1` are valid until its next call. A bounded number of interim responses (RFC 9110, 15.2) is
    skipped.
    """

    _buffer = memoryview(b"")
    _ends = math.inf

    def __init__(self, sock: socket.socket, *args: Any, visiting: Visiting = lambda: None, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        self.fp.close()
        self._bytes = _Bytes(sock, visiting)
        self.fp = io.BufferedReader(self._bytes)

    def begin(self) -> None:
        patience = self._bytes.socket.gettimeout()
        if patience is not None:
            self._bytes.deadline = time.monotonic() + patience
        super().begin()
        self._bytes.deadline = None
        self._bytes.socket.settimeout(patience)

    def end_by(self, deadline: float) -> None:
        """Set the time, on the monotonic clock, by which all content must have arrived.

        Between the pieces of the content others may drip: the sizes of chunks, and fields behind the last one.
        """
        self._ends = self._bytes.deadline = deadline

    def next_piece(self) -> None:
        """Give the next piece of the content as long as the socket waits for one byte."""
        if self.chunked and self._bytes.patience is not None:
            self._bytes.deadline = min(self._ends, time.monotonic() + self._bytes.patience)

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(_MOST_INTERIM):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status not in _INTERIM or status == HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, reason
            parse_headers(self.fp)
        raise HTTPException("interim answers without end")

    def read1(self, n: int = -1) -> Any:
        if self.isclosed() or self.chunked or not self.length or n < 0:
            return super().read1(n)
        most = min(n, self.length)
        if len(self._buffer) < most:
            self._buffer = memoryview(bytearray(most))
        got = self.fp.readinto1(self._buffer[:most])
        self.length -= got
        return self._buffer[:got]
