"""A part of a blob, as proof that a registry holds it (RFC 9110, 14; distribution-spec 1.1, "Pulling blobs")."""

from http import HTTPStatus

from tasks.registry.blob.reader import Fetch
from tasks.registry.http.content_range import content_range


def read_sample(fetch: Fetch, size: int, offset: int, length: int, seconds: float) -> bytes | None:
    """Return `length` bytes at `offset` of a blob of `size` bytes, by one GET of at most `seconds`.

    Returns None for any answer but those bytes: a registry without Range would send the whole blob. Raises Transient,
    RegistryError.
    """
    last = offset + length - 1
    response = fetch(headers={"Range": f"bytes={offset}-{last}"})
    if response.incoming is None:
        raise TypeError("the response of a blob is streamed")
    said = content_range(response.headers)
    if (
        response.status != HTTPStatus.PARTIAL_CONTENT
        or said is None
        or (said.first, said.last) != (offset, last)
        or not said.is_of(size)
    ):
        response.incoming.close()
        return None
    content = response.incoming.read(length, seconds)
    return content if len(content) == length else None
