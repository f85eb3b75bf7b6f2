"""The bytes of one blob on their way from a reader into an upload: hashed, and held back until all are verified."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from tasks.errors import ContentMismatch, Side
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import algorithm_of, encoded_of
from tasks.registry.http.answer import Piece

if TYPE_CHECKING:
    from hashlib import _Hash

_MARK_EVERY: Final = 16 * 1024 * 1024


class Reader(Protocol):
    """Where the bytes come from."""

    position: int

    def reopen(self, offset: int) -> None: ...
    def read_piece(self) -> Piece:
        """Return the next bytes, none at the end; they are good until the next call."""
        ...


@dataclass(frozen=True, slots=True)
class Rest:
    """The body of a request: the content from `offset` on."""

    passage: "Passage"
    offset: int

    def __len__(self) -> int:
        return self.passage.size - self.offset

    def __iter__(self) -> Iterator[Piece]:
        return self.passage.pieces(self.offset)


class Passage:
    """One blob under way; `progress` is told the bytes done after each piece, and may raise to stop it.

    The last piece is handed over only when digest and size of the whole are right: a registry that gets one byte less
    than it was promised commits nothing. To resume anywhere, the state of the digest is kept every 16 MiB: from there
    bytes are read again, hashed again, and sent only from the place asked for. `finished` tells whether the last body
    was handed over to its end, `reached` how many bytes were ever handed over.
    """

    def __init__(self, descriptor: Descriptor, reader: Reader, progress: Callable[[int], None]) -> None:
        self.size = descriptor.size
        self.reached = 0
        self.finished = False
        self._digest = descriptor.digest
        self._reader = reader
        self._progress = progress
        self._marks: list[tuple[int, _Hash]] = [(0, hashlib.new(algorithm_of(descriptor.digest)))]
        if self.size == 0:
            self._verify(self._marks[0][1])

    def body(self, offset: int) -> Rest:
        """Return the content from `offset` on, at most `reached`, as the body of a request."""
        return Rest(self, offset)

    def pieces(self, offset: int) -> Iterator[Piece]:
        """Yield the content from `offset` on; raises ContentMismatch instead of yielding the end of other content."""
        self.finished = False
        position, state = self._state_before(offset)
        if position == self.size:
            self._verify(state)
        self._reader.reopen(position)
        while position < self.size:
            piece = self._reader.read_piece()
            state.update(piece)
            start, position = position, self._reader.position
            if position - self._marks[-1][0] >= _MARK_EVERY:
                self._marks.append((position, state.copy()))
            if position == self.size:
                self._verify(state)
            if position > offset:
                self._progress(position)
                self.reached = max(self.reached, position)
                yield piece[max(0, offset - start) :]

    def _state_before(self, offset: int) -> "tuple[int, _Hash]":
        while self._marks[-1][0] > offset:
            self._marks.pop()
        position, state = self._marks[-1]
        return position, state.copy()

    def _verify(self, state: "_Hash") -> None:
        if state.hexdigest() != encoded_of(self._digest):
            raise ContentMismatch(f"The bytes that came for the blob {self._digest} are not its own.", side=Side.SOURCE)
        self.finished = True
