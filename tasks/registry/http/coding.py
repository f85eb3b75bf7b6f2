"""The compression that a proxy may add to an answer, though none was asked for (RFC 9110, 8.4)."""

import zlib
from typing import Final

_KNOWN: Final = frozenset({"gzip", "x-gzip", "deflate"})
# Finds out by itself whether the format is zlib's or gzip's.
_EITHER: Final = 32 + zlib.MAX_WBITS


def is_coded(encoding: str | None) -> bool:
    """Tell whether the Content-Encoding of an answer names a compression that can be undone."""
    return (encoding or "").strip().lower() in _KNOWN


def decoded(content: bytes, encoding: str | None, most: int) -> bytes:
    """Return at most `most` bytes of a content without its compression.

    A content that is not compressed stays as it is: some servers guess a header from the content of a blob.
    """
    if not is_coded(encoding):
        return content
    try:
        return zlib.decompressobj(_EITHER).decompress(content, most)
    except zlib.error:
        return content
