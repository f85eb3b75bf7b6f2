"""HTTP responses as they arrive: interim ones are skipped, the head has a deadline, one buffer takes the content."""

import io
import math
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, IncompleteRead, UnknownProtocol
from typing import Any, Final

from tasks.registry.http.headers import Headers, read_headers
from tasks.registry.http.length import length_of
from tasks.registry.source_slots import Visit

_INTERIM: Final = range(100, 200)
# RFC 9112, 6.3: they have no content, whatever their head says.
_WITHOUT_CONTENT: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED, *_INTERIM})
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
        self.has_read = False
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
            # Most heads need one read: it keeps the timeout of the connection, since a change is a system call.
            if self.has_read:
                self.socket.settimeout(left if self.patience is None else min(left, self.patience))
            self.has_read = True
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

    fields: Headers
    _buffer = memoryview(b"")
    _ends = math.inf

    def __init__(self, sock: socket.socket, method: str, visiting: Visiting = lambda: None) -> None:
        super().__init__(sock, method=method)
        self._to_head = method == "HEAD"
        self.fp.close()
        self._bytes = _Bytes(sock, visiting)
        self.fp = io.BufferedReader(self._bytes)

    def begin(self) -> None:
        """Read the head; raises HTTPException, OSError."""
        patience = self._bytes.socket.gettimeout()
        if patience is not None:
            self._bytes.deadline = time.monotonic() + patience
        version, self.status, reason = self._read_status()
        self.reason = reason.strip()
        self.fields = read_headers(self.fp)
        self._bytes.deadline = None
        if self._bytes.socket.gettimeout() != patience:
            self._bytes.socket.settimeout(patience)
        self._frame(version)

    def _frame(self, version: str) -> None:
        """Find where the content ends (RFC 9112, 6.3), and whether the connection lasts longer (9.3)."""
        if not version.startswith("HTTP/1."):
            raise UnknownProtocol(version)
        said = self.fields.get("Connection", "").lower()
        self.will_close = "keep-alive" not in said if version == "HTTP/1.0" else "close" in said
        self.chunked = self.fields.get("Transfer-Encoding", "").lower() == "chunked"
        self.chunk_left = None
        self.length = None if self.chunked else _length_of(self.fields)
        if self.status in _WITHOUT_CONTENT or self._to_head:
            self.chunked, self.length = False, 0
        if self.length is None and not self.chunked:
            self.will_close = True
        if self.length == 0:
            self._end()

    def _end(self) -> None:
        """End the answer, whose content is complete: the connection may serve the next request."""
        # An idle connection knows its last answer.
        self._buffer = memoryview(b"")
        self._close_conn()  # type: ignore[attr-defined]

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
            read_headers(self.fp)
        raise HTTPException("interim answers without end")

    def read1(self, n: int = -1) -> Any:
        if self.isclosed() or self.chunked or self.length is None or n < 0:
            return super().read1(n)
        most = min(n, self.length)
        if len(self._buffer) < most:
            self._buffer = memoryview(bytearray(most))
        got = self.fp.readinto1(self._buffer[:most])
        if not got and most:
            raise IncompleteRead(b"", self.length)
        piece = self._buffer[:got]
        self.length -= got
        if not self.length:
            self._end()
        return piece


def _length_of(fields: Headers) -> int | None:
    """Return the length that the head declares; raises HTTPException if it declares several."""
    said = {each.strip() for each in fields.get("Content-Length", "").split(",")}
    if len(said) > 1:
        raise HTTPException("several lengths of one answer")
    (length,) = said
    return length_of(length)
