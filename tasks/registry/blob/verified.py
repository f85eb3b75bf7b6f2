"""The content of one blob between reader and upload: hashed, the last piece held back until all is verified."""

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from tasks.errors import ContentMismatch, Side
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import algorithm_of, encoded_of
from tasks.registry.http.answer import Piece

if TYPE_CHECKING:
    from hashlib import _Hash

_Mark = tuple[int, "_Hash"]

_MARK_EVERY: Final = 16 * 1024 * 1024


class Reader(Protocol):
    """A source of bytes."""

    position: int

    def reopen(self, offset: int) -> None:
        """Go on at `offset`, in bytes from the start of the content."""
        ...

    def read_piece(self) -> Piece:
        """Return the next bytes, none at the end; they are valid until the next call."""
        ...


class Part(msgspec.Struct, frozen=True):
    """The body of a request: the content from `offset` to `end`."""

    passage: "Passage"
    offset: int
    end: int

    def __len__(self) -> int:
        return self.end - self.offset

    def __iter__(self) -> Iterator[Piece]:
        return self.passage.pieces(self.offset, self.end)


class Passage:
    """The transfer of one blob; `progress` gets the bytes done after each piece, and may raise to stop the transfer.

    The last piece is handed over only when digest and size of the whole are right: a registry that gets one byte less
    than promised commits nothing. To resume anywhere, the state of the digest is kept every 16 MiB, and at the end of
    the last body: from there bytes are read and hashed again, and sent only from the requested offset.
    `digest` is that of the whole, `position` the offset that the last body reached, `reached` the highest offset ever
    handed over, `begun` the number of bodies that were begun.
    """

    def __init__(self, descriptor: Descriptor, reader: Reader, progress: Callable[[int], None]) -> None:
        self.size = descriptor.size
        self.reached = 0
        self.position = 0
        self.begun = 0
        self.digest = descriptor.digest
        self._reader = reader
        self._progress = progress
        self._marks: list[_Mark] = [(0, hashlib.new(algorithm_of(descriptor.digest)))]
        self._end: _Mark = self._marks[0]
        self._left = b""
        if self.size == 0:
            self._verify(self._marks[0][1])

    @property
    def finished(self) -> bool:
        """Whether the last body reached the end of the content."""
        return self.position == self.size

    def body(self, offset: int, end: int | None = None) -> Part:
        """Return the content from `offset`, at most `reached`, to `end` (all if None) as the body of a request."""
        return Part(self, offset, self.size if end is None else end)

    def pieces(self, offset: int, end: int) -> Iterator[Piece]:
        """Yield the content from `offset` to `end`; raises ContentMismatch before the last piece of other content."""
        position, state = self._state_before(offset)
        self.position = offset
        self.begun += 1
        if position == self.size:
            self._verify(state)
        for start, piece in self._read(position, end):
            state.update(piece)
            position = start + len(piece)
            if position - self._marks[-1][0] >= _MARK_EVERY:
                self._marks.append((position, state.copy()))
            if position == end:
                self._end = position, state.copy()
            if position == self.size:
                self._verify(state)
            if position > offset:
                self._progress(position)
                self.position = position
                self.reached = max(self.reached, position)
                yield piece[max(0, offset - start) :]

    def _read(self, position: int, end: int) -> Iterator[tuple[int, Piece]]:
        """Yield pieces with their offsets; bytes read beyond `end` are kept for the body that starts there."""
        left, self._left = self._left, b""
        if left and position == self._end[0]:
            piece: Piece = left
        else:
            self._reader.reopen(position)
            piece = b""
        while position < end:
            piece = piece or self._reader.read_piece()
            taken = piece[: end - position]
            if len(taken) < len(piece):
                # The reader's own buffer is good until its next call only.
                self._left = bytes(piece[len(taken) :])
            yield position, taken
            position += len(taken)
            piece = b""

    def _state_before(self, offset: int) -> "_Mark":
        while self._marks[-1][0] > offset:
            self._marks.pop()
        position, state = self._end if self._marks[-1][0] <= self._end[0] <= offset else self._marks[-1]
        return position, state.copy()

    def _verify(self, state: "_Hash") -> None:
        if state.hexdigest() != encoded_of(self.digest):
            raise ContentMismatch(f"The bytes that came for the blob {self.digest} are not its own.", side=Side.SOURCE)
