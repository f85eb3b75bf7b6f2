"""Digests (image-spec descriptor.md, section Digests)."""

import hashlib
import re
from typing import TYPE_CHECKING, Final, NewType

if TYPE_CHECKING:
    from hashlib import _Hash

Digest = NewType("Digest", str)

_HEX_LENGTHS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
_GRAMMAR: Final = re.compile(r"([a-z0-9]+(?:[+._-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)")


def parse_digest(text: str) -> Digest:
    """Return `text` as a digest of a registered algorithm; raises ValueError."""
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:100]!r} is not a digest")
    algorithm, encoded = match.groups()
    length = _HEX_LENGTHS.get(algorithm)
    if length is None:
        raise ValueError(f"digest algorithm {algorithm!r} is not supported (sha256, sha384, sha512 are)")
    if len(encoded) != length or re.fullmatch("[0-9a-f]+", encoded) is None:
        raise ValueError(f"a {algorithm} digest has {length} lower-case hexadecimal digits")
    return Digest(text)


def digest_of(content: bytes, algorithm: str = "sha256") -> Digest:
    """Return the digest of `content`."""
    return Digest(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")


def algorithm_of(digest: Digest) -> str:
    """Return the part before the colon."""
    return digest.partition(":")[0]


def encoded_of(digest: Digest) -> str:
    """Return the part after the colon."""
    return digest.partition(":")[2]


class Verifier:
    """A comparison of streamed bytes with a digest and a size."""

    def __init__(self, digest: Digest, size: int) -> None:
        self._digest = digest
        self._size = size
        self._state: _Hash = hashlib.new(algorithm_of(digest))
        self.received = 0

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        """Count and hash one piece."""
        self._state.update(piece)
        self.received += len(piece)

    @property
    def exceeded(self) -> bool:
        """Whether there were more bytes than the size allows."""
        return self.received > self._size

    @property
    def verified(self) -> bool:
        """Whether the bytes are exactly the content of the digest."""
        return self.received == self._size and self._state.hexdigest() == encoded_of(self._digest)
