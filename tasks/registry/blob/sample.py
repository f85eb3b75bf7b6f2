"""A part of a blob, as proof that a registry holds it (RFC 9110, 14; distribution-spec 1.1, "Pulling blobs")."""

import re
from http import HTTPStatus
from typing import Final

from tasks.registry.blob.reader import Fetch

_CONTENT_RANGE: Final = re.compile(r"bytes\s+([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.ASCII | re.IGNORECASE)


def read_sample(fetch: Fetch, size: int, offset: int, length: int, seconds: float) -> bytes | None:
    """Return `length` bytes at `offset` of a blob of `size` bytes, by one GET of at most `seconds`.

    Returns None for any answer but those bytes: a registry without Range would send the whole blob. Raises Transient,
    RegistryError.
    """
    last = offset + length - 1
    response = fetch(headers={"Range": f"bytes={offset}-{last}"})
    if response.incoming is None:
        raise TypeError("the response of a blob is streamed")
    said = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if (
        response.status != HTTPStatus.PARTIAL_CONTENT
        or said is None
        or (int(said[1]), int(said[2])) != (offset, last)
        or said[3] not in {"*", str(size)}
    ):
        response.incoming.close()
        return None
    content = response.incoming.read(length, seconds)
    return content if len(content) == length else None
