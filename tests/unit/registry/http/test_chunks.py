"""RFC 9112, 7.1."""

import io

import pytest

from tasks.registry.http.chunks import Chunks
from tasks.registry.http.message_faults import AnswerMalformed


def content(received: bytes, most: int = 4) -> tuple[bytes, bytes]:
    """Return the content in chunks, and what follows it."""
    file = io.BufferedReader(io.BytesIO(received))
    chunks = Chunks(file)  # type: ignore[arg-type]
    pieces = list(iter(lambda: chunks.read1(most), b""))
    return b"".join(pieces), file.read()


def test_chunks_end_with_their_last_one_and_its_fields() -> None:
    received = b"3\r\nabc\r\n A ;x=y\r\n0123456789\r\n0\r\nX-Trailer: x\r\n\r\nHTTP/1.1 200 OK\r\n"
    assert content(received) == (b"abc0123456789", b"HTTP/1.1 200 OK\r\n")


def test_a_server_may_close_the_connection_behind_the_last_chunk() -> None:
    assert content(b"1\na\n0\r\n") == (b"a", b"")


@pytest.mark.parametrize(
    "received",
    [b"", b"3\r\nab", b"3\r\nabc", b"3\r\nabcd\r\n0\r\n\r\n", b"x\r\na", b"-1\r\na", b"\r\n", b"1" * 70_000, b"3"],
)
def test_content_that_is_cut_or_miscounted_is_refused(received: bytes) -> None:
    with pytest.raises(AnswerMalformed):
        content(received)
