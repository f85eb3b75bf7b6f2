"""An upload's session as a registry describes it (distribution-spec 1.1, "Pushing a blob in chunks")."""

import re
from dataclasses import dataclass, replace
from typing import Final

from tasks.errors import ResponseInvalid
from tasks.registry.http.exchange import Response, describe

_RANGE: Final = re.compile(r"(?:bytes=)?0-(-1|[0-9]{1,18})", re.ASCII | re.IGNORECASE)
# What Quay says of a session that it opens; of one with bytes it names their number, not the last one's place.
_OF_A_COUNTER: Final = "bytes=0--1"


@dataclass(frozen=True, slots=True)
class UploadSession:
    """Where a registry takes the bytes of a blob: a URL that is used to the letter.

    `counts` tells that its status names how many bytes it holds; `least` and `most` bound a part, in bytes.
    """

    location: str
    counts: bool = False
    least: int | None = None
    most: int | None = None

    def moved(self, response: Response) -> "UploadSession":
        """Return the session as a later response goes on with it."""
        return replace(self, location=response.location or self.location)


def session_of(response: Response) -> UploadSession:
    """Return the session that a response opens; raises ResponseInvalid if it names none."""
    location = response.location
    if location is None:
        raise ResponseInvalid(f"{describe('POST', response.url)} opened an upload without a Location.")
    return UploadSession(
        location,
        counts=response.headers.get("Range", "").strip() == _OF_A_COUNTER,
        least=_bytes(response, "OCI-Chunk-Min-Length"),
        most=_bytes(response, "OCI-Chunk-Max-Length"),
    )


def with_digest(location: str, digest: str) -> str:
    """Return the URL that commits an upload; the query that is there may be signed, and stays as it is."""
    # What is said after a fragment no registry hears.
    location = location.partition("#")[0]
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


def stored_bytes(said: str | None, most: int, *, counts: bool = False) -> int | None:
    """Return how many bytes a session holds by its Range header, None if that says nothing.

    More than `most` were never sent. `0-0` is what an empty session says, and one with a single byte cannot be told
    from it. The place of the last byte is due; Quay (`counts`) names the number of bytes.
    """
    match = _RANGE.fullmatch((said or "").strip())
    if match is None:
        return None
    last = int(match[1])
    if last <= 0:
        return 0
    stored = last if counts or last == most else last + 1
    return stored if stored <= most else None


def _bytes(response: Response, name: str) -> int | None:
    said = response.headers.get(name, "").strip()
    return int(said) if said.isascii() and said.isdigit() and len(said) < 19 and int(said) else None  # noqa: PLR2004
