"""HTTP responses as they arrive: interim ones are skipped, the head has a deadline, one buffer takes the content."""

import io
import math
import re
import socket
import time
from http import HTTPStatus
from typing import Any, Final

from tasks.registry.http.chunks import Chunks
from tasks.registry.http.headers import LONGEST_LINE, Headers, read_headers
from tasks.registry.http.length import length_of
from tasks.registry.http.message_faults import AnswerMalformed
from tasks.registry.http.visited_socket import Visiting, nobody, receive_into

_STATUS: Final = re.compile(rb"[1-9][0-9]{2}")
_INTERIM: Final = range(100, 200)
# RFC 9112, 6.3: they have no content, whatever their head says.
_WITHOUT_CONTENT: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED, *_INTERIM})
# More than one a second during the longest commit.
_MOST_INTERIM: Final = 1000


class _Bytes(io.RawIOBase):
    """The received bytes of a socket; raises TimeoutError after `deadline`, on the monotonic clock.

    A read for the sake of a visit also ends, by SourceSlow or DestinationSlow, if the visit is one too many.
    """

    def __init__(self, sock: socket.socket, visiting: Visiting, usual: float) -> None:
        self.deadline: float | None = None
        self.usual = usual
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
        return self._file.readinto(buffer) if visit is None else receive_into(self.socket, buffer, visit, self.usual)

    def close(self) -> None:
        self._file.close()
        super().close()


class Arriving:
    """A response whose whole head must arrive within the socket's timeout, read into one buffer.

    The bytes from `read1` are valid until its next call. A bounded number of interim responses (RFC 9110, 15.2) is
    skipped. The first `usual` seconds of a wait for the head do not count as a wait for a slow registry.
    """

    status: int
    reason: str
    fields: Headers
    will_close: bool

    def __init__(self, sock: socket.socket, method: str, visiting: Visiting = nobody, usual: float = 0.0) -> None:
        self._to_head = method == "HEAD"
        self._buffer = memoryview(b"")
        self._ends = math.inf
        self._bytes = _Bytes(sock, visiting, usual)
        self._file: io.BufferedReader | None = io.BufferedReader(self._bytes)
        self._chunks: Chunks | None = None
        # The bytes of content that are still to come, None if only the end of the connection tells.
        self._left: int | None = None

    def begin(self) -> None:
        """Read the head; raises AnswerMalformed, OSError."""
        file = self._open_file()
        patience = self._bytes.socket.gettimeout()
        if patience is not None:
            self._bytes.deadline = time.monotonic() + patience
        version, self.status, self.reason = _read_status(file)
        self.fields = read_headers(file)
        self._bytes.deadline = None
        self._bytes.usual = 0.0
        if self._bytes.socket.gettimeout() != patience:
            self._bytes.socket.settimeout(patience)
        self._frame(version)

    def _frame(self, version: str) -> None:
        """Find where the content ends (RFC 9112, 6.3), and whether the connection lasts longer (9.3)."""
        if not version.startswith("HTTP/1."):
            raise AnswerMalformed(f"the answer is of {version}")
        said = self.fields.get("Connection", "").lower()
        self.will_close = "keep-alive" not in said if version == "HTTP/1.0" else "close" in said
        is_chunked = self.fields.get("Transfer-Encoding", "").lower() == "chunked"
        self._left = None if is_chunked else _length_of(self.fields)
        if self.status in _WITHOUT_CONTENT or self._to_head:
            self._left = 0
        elif is_chunked:
            self._chunks = Chunks(self._open_file())
        elif self._left is None:
            self.will_close = True
        if self._left == 0:
            self._end()

    def isclosed(self) -> bool:
        """Tell whether the content is complete, or the answer was closed."""
        return self._file is None

    def close(self) -> None:
        """Read no more of the answer."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _end(self) -> None:
        """End the answer, whose content is complete: the connection may serve the next request."""
        # An idle connection knows its last answer.
        self._buffer = memoryview(b"")
        self.close()

    def _open_file(self) -> io.BufferedReader:
        if self._file is None:
            raise ValueError("the answer is closed")
        return self._file

    def end_by(self, deadline: float) -> None:
        """Set the time, on the monotonic clock, by which all content must have arrived.

        Between the pieces of the content others may drip: the sizes of chunks, and fields behind the last one.
        """
        self._ends = self._bytes.deadline = deadline

    def next_piece(self) -> None:
        """Give the next piece of the content as long as the socket waits for one byte."""
        if self._chunks is not None and self._bytes.patience is not None:
            self._bytes.deadline = min(self._ends, time.monotonic() + self._bytes.patience)

    def read1(self, most: int) -> bytes | memoryview:
        """Return the next bytes of the content, at most `most`, none at its end; raises AnswerMalformed, OSError."""
        if self._file is None or not most:
            return b""
        if self._chunks is not None:
            piece: bytes | memoryview = self._chunks.read1(most)
            if not piece:
                self._end()
            return piece
        if self._left is None:
            piece = self._file.read1(most)
            if not piece:
                self._end()
            return piece
        return self._read_counted(self._file, self._left, most)

    def _read_counted(self, file: io.BufferedReader, left: int, most: int) -> memoryview:
        most = min(most, left)
        if len(self._buffer) < most:
            self._buffer = memoryview(bytearray(most))
        got = file.readinto1(self._buffer[:most])
        if not got:
            raise AnswerMalformed(f"the content ends {left} bytes too early")
        piece = self._buffer[:got]
        self._left = left - got
        if not self._left:
            self._end()
        return piece


def _read_status(file: io.BufferedReader) -> tuple[str, int, str]:
    """Return version, status and reason of the answer behind the interim ones (RFC 9112, 4)."""
    for _ in range(_MOST_INTERIM):
        line = file.readline(LONGEST_LINE)
        if not line:
            raise ConnectionResetError("the connection was closed without an answer")
        # No expression for the whole line: one with a long run of spaces would take it hours.
        words = line.split(None, 2)
        is_begun = line.startswith(b"HTTP/") and line.endswith(b"\n") and len(words) > 1
        if not is_begun or not _STATUS.fullmatch(words[1]):
            raise AnswerMalformed("the answer has no status line")
        status = int(words[1])
        if status not in _INTERIM or status == HTTPStatus.SWITCHING_PROTOCOLS:
            reason = words[2].strip() if len(words) > 2 else b""  # noqa: PLR2004 - version, status, reason
            return words[0].decode("latin-1"), status, reason.decode("latin-1")
        read_headers(file)
    raise AnswerMalformed("interim answers without end")


def _length_of(fields: Headers) -> int | None:
    """Return the length that the head declares; raises AnswerMalformed if it declares several."""
    said = {each.strip() for each in fields.get("Content-Length", "").split(",")}
    if len(said) > 1:
        raise AnswerMalformed("several lengths of one answer")
    (length,) = said
    return length_of(length)
