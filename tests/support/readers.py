"""Content in memory, read as an upload reads a blob."""

import time


class MemoryReader:
    """Read `content` in pieces; wait for so many seconds before the last one."""

    def __init__(self, content: bytes, piece: int = 50_000, waits: float = 0) -> None:
        self.content = content
        self.position = 0
        self.reopened: list[int] = []
        self._piece = piece
        self._waits = waits

    def reopen(self, offset: int) -> None:
        self.reopened.append(offset)
        self.position = offset

    def read_piece(self) -> bytes:
        piece = self.content[self.position : self.position + self._piece]
        self.position += len(piece)
        if self.position == len(self.content):
            time.sleep(self._waits)
        return piece
