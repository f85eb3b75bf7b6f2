"""The part of a content that an answer declares to bring (RFC 9110, 14.4)."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from tasks.patterns import late

_FORM: Final = late(r"bytes\s+([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.ASCII | re.IGNORECASE)


class ContentRange(msgspec.Struct, frozen=True):
    """The first and the last byte of a part, and the size of the whole in the answer's own words, `*` for unknown."""

    first: int
    last: int
    whole: str

    def is_of(self, size: int) -> bool:
        """Tell whether the part may be one of a content of `size` bytes."""
        return self.whole in {"*", str(size)}


def content_range(headers: Mapping[str, str]) -> ContentRange | None:
    """Return the Content-Range, None if there is none that is valid."""
    match = _FORM().fullmatch(headers.get("Content-Range", "").strip())
    return None if match is None else ContentRange(int(match[1]), int(match[2]), match[3])
