"""An answer to one request, its content unread."""

import time
from collections.abc import Callable, Mapping

from tasks.registry.http.failures import FAILURES, normalise
from tasks.registry.http.response_stream import Arriving
from tasks.registry.http.retry import Transient

Piece = bytes | memoryview


class Incoming:
    """One answer whose content is still to come; it occupies its connection until its end, or `close`.

    `what` is the request in the form for messages. `release` is called with True if the connection can serve another
    request.
    """

    def __init__(self, answer: Arriving, what: str, release: Callable[[bool], None]) -> None:
        self.status = answer.status
        self.headers: Mapping[str, str] = answer.fields
        self.what = what
        self._answer = answer
        self._release: Callable[[bool], None] | None = release
        self._release_complete()

    def receive(self, most: int) -> Piece:
        """Return the received bytes, at most `most`, none at the end; raises Transient.

        The bytes are valid until the next call. If a connection stalls or is cut, the bytes before that are kept.
        """
        self._answer.next_piece()
        try:
            piece: Piece = self._answer.read1(most)
        except FAILURES as error:
            raise normalise(error, self.what) from None
        self._release_complete()
        return piece

    def read(self, limit: int, seconds: float) -> bytes:
        """Return the content, or its first `limit` + 1 bytes, and close; raises Transient, also after `seconds`."""
        content = bytearray()
        deadline = time.monotonic() + seconds
        self._answer.end_by(deadline)
        try:
            # Only a read after the last byte tells complete content from truncated content.
            while len(content) <= limit and (piece := self.receive(limit + 1 - len(content))):
                content += piece
                if time.monotonic() > deadline:
                    raise self._too_long(seconds)
        except Transient:
            if time.monotonic() < deadline:
                raise
            raise self._too_long(seconds) from None
        finally:
            self.close()
        return bytes(content)

    def _too_long(self, seconds: float) -> Transient:
        return Transient(f"{self.what}: the answer took longer than {seconds:g} seconds")

    def close(self) -> None:
        """End the request; its connection is used again only if all content was read."""
        self._release_complete()
        self._answer.close()
        self._let_go(complete=False)

    def _release_complete(self) -> None:
        if self._answer.isclosed():
            self._let_go(complete=True)

    def _let_go(self, *, complete: bool) -> None:
        release, self._release = self._release, None
        if release is not None:
            release(complete)
