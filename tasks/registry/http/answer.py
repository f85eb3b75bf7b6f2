"""An answer to one request, its content unread."""

import time
from collections.abc import Mapping

import requests

from tasks.registry.http.arriving import Arriving
from tasks.registry.http.failures import FAILURES, normalise
from tasks.registry.http.retry import Transient

Piece = bytes | memoryview


class Incoming:
    """One answer whose content is still to come; it occupies its connection until `close`.

    `what` is the request in the form for messages.
    """

    def __init__(self, answer: requests.Response, what: str) -> None:
        self.status = answer.status_code
        self.headers: Mapping[str, str] = answer.headers
        self.what = what
        self._answer = answer
        arriving = getattr(answer.raw, "_fp", None)
        self._arriving = arriving if isinstance(arriving, Arriving) else None

    def receive(self, most: int) -> Piece:
        """Return the received bytes, at most `most`, none at the end; raises Transient.

        The bytes are valid until the next call. If a connection stalls or is cut, the bytes before that are kept.
        """
        if self._arriving is not None:
            self._arriving.next_piece()
        try:
            piece: Piece = self._answer.raw.read1(most, decode_content=False)
        except FAILURES as error:
            raise normalise(error, self.what) from None
        return piece

    def read(self, limit: int, seconds: float) -> bytes:
        """Return the content, or its first `limit` + 1 bytes, and close; raises Transient, also after `seconds`."""
        content = bytearray()
        deadline = time.monotonic() + seconds
        if self._arriving is not None:
            self._arriving.end_by(deadline)
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
        """End the request; its connection is reused only if all content was read."""
        self._answer.close()
