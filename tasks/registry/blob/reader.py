"""A blob as a stream that survives lost connections (BEHAVIOUR 5.3; distribution-spec 1.1, "Pulling blobs")."""

from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Protocol, Self

from tasks.errors import ContentMismatch, ImagePusherError, ResponseInvalid
from tasks.registry.http.answer import Incoming, Piece
from tasks.registry.http.content_range import content_range
from tasks.registry.http.exchange import Response
from tasks.registry.http.length import declared_length
from tasks.registry.http.retry import RetryPolicy, Transient
from tasks.registry.settings import HttpLimits


class Fetch(Protocol):
    """Send one GET with these headers, tried once."""

    def __call__(self, *, headers: Mapping[str, str]) -> Response: ...


class BlobReader:
    """The content of one blob of `size` bytes, from any offset; not thread-safe.

    The caller connects before it reads. A lost connection is replaced by one that goes on where the last ended; tries
    are bounded as long as no byte comes. Content is not verified, but never longer than `size`.
    """

    def __init__(
        self,
        name: str,
        size: int,
        fetch: Fetch,
        policy: RetryPolicy,
        limits: HttpLimits,
    ) -> None:
        self.position = 0
        self._name = name
        self._size = size
        self._fetch = fetch
        self._policy = policy
        self._piece = limits.buffer_bytes
        self._incoming: Incoming | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the connection."""
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.close()

    def reopen(self, offset: int) -> None:
        """Go on reading at `offset`, in bytes from the start of the blob."""
        if offset != self.position:
            self.close()
            self.position = offset

    def read_piece(self) -> Piece:
        """Return the next bytes, at most the buffer's size, none at the end; they are valid until the next call.

        Raises ContentMismatch if the registry's blob is longer or shorter than declared, RegistryError.
        """
        if self.position == self._size:
            return b""
        if self._incoming is not None:
            try:
                return self._next()
            except Transient:
                self.close()
                self._policy.on_retry()
            except ImagePusherError as error:
                self._policy.blame(error)
                raise
        return self._policy.run(self._reconnect)

    def _reconnect(self) -> Piece:
        self.close()
        self.connect()
        try:
            return self._next()
        except Transient:
            self.close()
            raise

    def connect(self) -> None:
        """Ask once for the content from the present position on; raises NotFound, Transient, RegistryError."""
        headers = {"Range": f"bytes={self.position}-"} if self.position else {}
        response = self._fetch(headers=headers)
        self._incoming = response.incoming
        try:
            skipped = self.position - self._start_of(response)
            while skipped:
                skipped -= len(self._receive(min(self._piece, skipped)))
        except BaseException:
            self.close()
            raise

    def _start_of(self, response: Response) -> int:
        """Return the offset in the blob at which the response starts (RFC 9110, 14.4 and 15.3.7)."""
        if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise ContentMismatch(f"{self._name} has no more than {self.position} of its {self._size} bytes.")
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            length = declared_length(response.headers)
            if length is not None and length != self._size:
                raise ContentMismatch(f"{self._name} has {length} bytes instead of {self._size}.")
            return 0
        part = content_range(response.headers)
        if part is None or part.first != self.position:
            raise ResponseInvalid(f"{self._name} was asked for from byte {self.position} on, and came from elsewhere.")
        if not part.is_of(self._size):
            raise ContentMismatch(f"{self._name} has {part.whole} bytes instead of {self._size}.")
        return self.position

    def _next(self) -> Piece:
        piece = self._receive(min(self._piece, self._size - self.position))
        self.position += len(piece)
        if self.position == self._size:
            self._end()
        return piece

    def _receive(self, most: int) -> Piece:
        if self._incoming is None:
            raise TypeError("the response of a blob is streamed")
        piece = self._incoming.receive(most)
        if not piece:
            raise Transient(f"{self._name}: the content ended after {self.position} of {self._size} bytes")
        return piece

    def _end(self) -> None:
        """Raise ContentMismatch for more bytes than declared; a connection lost at the end is no error."""
        try:
            self._receive(1)
        except Transient:
            self.close()
        else:
            self.close()
            raise ContentMismatch(f"{self._name} has more than {self._size} bytes.")
