"""Content in chunks (RFC 9112, 7.1)."""

import io
import re
from typing import Final

from tasks.registry.http.headers import LONGEST_LINE
from tasks.registry.http.message_faults import AnswerMalformed

# 15 hexadecimal digits are enough for any content.
_SIZE: Final = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n", re.DOTALL)
_LINE_ENDS: Final = frozenset({b"\r\n", b"\n"})
_ENDS: Final = _LINE_ENDS | {b""}


class Chunks:
    """The content of an answer in chunks; extensions and the fields behind the last chunk are left out."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._left = 0
        self._has_begun = False

    def read1(self, most: int) -> bytes:
        """Return the next bytes, at most `most`, none behind the last chunk; raises AnswerMalformed, OSError."""
        if not self._left:
            self._left = self._next_size()
            if not self._left:
                self._skip_fields()
                return b""
        piece = self._file.read1(min(most, self._left))
        if not piece:
            raise AnswerMalformed("the content ends within a chunk")
        self._left -= len(piece)
        return piece

    def _next_size(self) -> int:
        if self._has_begun and self._line() not in _LINE_ENDS:
            raise AnswerMalformed("a chunk is longer than its size")
        self._has_begun = True
        match = _SIZE.fullmatch(self._line())
        if match is None:
            raise AnswerMalformed("a chunk has no size")
        return int(match[1], 16)

    def _skip_fields(self) -> None:
        # Some servers close the connection behind the last chunk.
        while self._file.readline(LONGEST_LINE) not in _ENDS:
            pass

    def _line(self) -> bytes:
        line = self._file.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise AnswerMalformed("the content in chunks has no end")
        return line
