"""The session of an upload as a registry describes it (distribution-spec 1.1, "Pushing a blob in chunks")."""

import re
from typing import Final

import msgspec

from tasks.errors import ResponseInvalid
from tasks.oci.digest import Digest, algorithm_of
from tasks.registry.http.exchange import Response, describe, find_digest
from tasks.registry.http.length import length_of

_RANGE: Final = re.compile(r"(?:bytes=)?0-(-1|[0-9]{1,18})", re.ASCII | re.IGNORECASE)
# Quay's Range of a new session; of a session with bytes it names their number, not the offset of the last.
_OF_A_COUNTER: Final = "bytes=0--1"


class UploadSession(msgspec.Struct, frozen=True):
    """The upload session of a blob: a URL that is used to the letter.

    `counts` says that the session's status names the number of its bytes; `least` and `most` bound a part, in bytes.
    """

    location: str
    counts: bool = False
    least: int | None = None
    most: int | None = None

    def moved(self, response: Response) -> "UploadSession":
        """Return the session as a later response updates it."""
        return msgspec.structs.replace(self, location=response.location or self.location)


def session_of(response: Response) -> UploadSession:
    """Return the session that a response opens; raises ResponseInvalid if the response names none."""
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
    """Return the URL that commits an upload; its query stays as it is, because it may be signed."""
    # No registry receives text after a fragment.
    location = location.partition("#")[0]
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


def names_other(committed: Response, digest: Digest) -> bool:
    """Tell whether the answer to a commit names another digest of the same algorithm ("Pushing blobs")."""
    named = find_digest(committed.headers.get("Docker-Content-Digest"))
    return named not in {None, digest} and algorithm_of(named or digest) == algorithm_of(digest)


def stored_bytes(said: str | None, most: int, *, counts: bool = False) -> int | None:
    """Return the number of bytes in a session by its Range header, None if the header is not usable.

    At most `most` bytes were sent. An empty session says `0-0`, and so does a session with a single byte. The
    specification wants the offset of the last byte; Quay (`counts`) names the number of bytes.
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
    return length_of(response.headers.get(name, "")) or None
