"""The length that an answer declares (RFC 9110, 8.6)."""

from collections.abc import Mapping
from typing import Final

# More digits than any content has bytes; Python refuses to read thousands of them.
_MOST_DIGITS: Final = 18


def declared_length(headers: Mapping[str, str]) -> int | None:
    """Return the Content-Length in bytes, None if there is none, or one that no content has."""
    return length_of(headers.get("Content-Length", ""))


def length_of(said: str) -> int | None:
    """Return the number of bytes in a header, None for any other text."""
    said = said.strip()
    return int(said) if said.isascii() and said.isdigit() and len(said) <= _MOST_DIGITS else None
