"""What comes back for one request, before anyone has read it."""

import time
from collections.abc import Mapping

import requests

from tasks.registry.http.failures import FAILURES, normalise
from tasks.registry.http.retry import Transient

Piece = bytes | memoryview


class Incoming:
    """One answer whose content is still to come; it occupies its connection until `close`, which ends the request.

    `what` is the request as messages show it.
    """

    def __init__(self, answer: requests.Response, what: str) -> None:
        self.status = answer.status_code
        self.headers: Mapping[str, str] = answer.headers
        self.what = what
        self._answer = answer

    def receive(self, most: int) -> Piece:
        """Return what has come, at most so many bytes, none at the end; raises Transient.

        What it returns is good until it is called again. A connection that stalls or is cut keeps what came before.
        """
        try:
            piece: Piece = self._answer.raw.read1(most, decode_content=False)
        except FAILURES as error:
            raise normalise(error, self.what) from None
        return piece

    def read(self, limit: int, seconds: float) -> bytes:
        """Return the content, or its first `limit` + 1 bytes, and close; raises Transient, also after `seconds`."""
        content = bytearray()
        deadline = time.monotonic() + seconds
        try:
            # Only the read that comes after the last byte tells a whole content from one that was cut short.
            while len(content) <= limit and (piece := self.receive(limit + 1 - len(content))):
                content += piece
                if time.monotonic() > deadline:
                    raise Transient(f"{self.what}: the answer took longer than {seconds:g} seconds")
        finally:
            self.close()
        return bytes(content)

    def close(self) -> None:
        """End the request; where all was read its connection has gone back to the pool, else it is not used again."""
        self._answer.close()
