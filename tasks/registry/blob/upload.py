"""Uploading one blob (distribution-spec 1.1, "Pushing blobs"; BEHAVIOUR 5.3).

POST opens a session, one PUT with Content-Length sends and commits: the fewest requests that every registry knows.
A registry that answers such a PUT with an error of the client gets one streamed PATCH and an empty PUT instead.

What was found with Distribution 2.8 by cutting connections: it commits nothing of an interrupted request, and what it
had taken in is lost, since `_state` in the session's Location carries the offset, signed, and any other offset on its
disk makes the session invalid (404 on the status too). An untouched session (a 401, say) stays good, and after a whole
PATCH only the Location of its answer is. So after any failure the session's status is asked: the upload goes on where
the registry says that it stands, and starts in a new session where the old one is gone.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tasks.errors import ContentMismatch, NotFound, RegistryError, RequestRefused, ResponseInvalid
from tasks.oci.descriptor import Descriptor
from tasks.registry.blob.verified import Passage, Reader
from tasks.registry.http.exchange import Body, Request, Response, describe, explain, refusal
from tasks.registry.http.retry import Transient
from tasks.registry.transport import Transport

_STORED: Final = frozenset({200, 201, 204})
_TAKEN: Final = _STORED | {202}
_GONE: Final = 404
_RANGE_REFUSED: Final = 416
# Whoever is not let in, or is limited, has not stored anything.
_NOT_TAKEN: Final = frozenset({401, 429})
# What registries answer to a PUT that they do not support; one that ignores its body finds a wrong digest.
_UNSUPPORTED: Final = frozenset({400, 405, 411, 415, 501})
_RANGE: Final = re.compile(r"(?:bytes=)?0-([0-9]{1,18})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class UploadSession:
    """Where a registry takes the bytes of a blob: a URL that is used to the letter."""

    location: str


def session_of(response: Response) -> UploadSession:
    """Return the session that a response opens or goes on with; raises ResponseInvalid if it names none."""
    location = response.location
    if location is None:
        raise ResponseInvalid(f"{describe('POST', response.url)} opened an upload without a Location.")
    return UploadSession(location)


def with_digest(location: str, digest: str) -> str:
    """Return the URL that commits an upload; the query that is there may be signed, and stays as it is."""
    # What is said after a fragment no registry hears.
    location = location.partition("#")[0]
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


def stored_bytes(said: str | None) -> int | None:
    """Return how many bytes a session holds by its Range header, None if that says nothing.

    `0-0` is what an empty session says, and one with a single byte cannot be told from it.
    """
    match = _RANGE.fullmatch((said or "").strip())
    if match is None:
        return None
    last = int(match[1])
    return last + 1 if last else 0


class BlobUpload:
    """One blob on its way into one repository; used once, by one thread."""

    def __init__(
        self,
        transport: Transport,
        name: str,
        scopes: frozenset[str],
        descriptor: Descriptor,
        reader: Reader,
        progress: Callable[[int], None],
        session: UploadSession | None,
    ) -> None:
        self._transport = transport
        self._name = name
        self._scopes = scopes
        self._digest = descriptor.digest
        self._size = descriptor.size
        self._passage = Passage(descriptor, reader, progress)
        self._session = session
        self._patches = transport.uploads.patches
        self._touched = False
        self._outcome_unknown = False

    def run(self) -> None:
        """Store the blob; tries are bounded as long as no new byte gets through.

        Raises ContentMismatch, RegistryError, and what the reader and `progress` raise.
        """
        self._transport.policy.run(self._attempt, lambda: self._passage.reached)

    def _attempt(self) -> None:
        if self._outcome_unknown and self._is_stored():
            return
        self._outcome_unknown = False
        session, offset = self._resume()
        self._touched = True
        if not self._patches:
            self._commit(session, offset, self._passage.body(offset))
            return
        if offset < self._size:
            session = self._patch(session, offset)
        self._commit(session, self._size, b"")
        self._transport.uploads.patches = True

    def _is_stored(self) -> bool:
        """Tell whether a commit whose answer was lost took effect: asking is cheaper than sending again."""
        response = self._send("HEAD", f"/v2/{self._name}/blobs/{self._digest}", expect={200, _GONE, *_UNSUPPORTED})
        return response.status == 200  # noqa: PLR2004

    def _resume(self) -> tuple[UploadSession, int]:
        """Return a session, and how many bytes it holds."""
        if self._session is not None and not self._touched:
            return self._session, 0
        if self._session is not None and (found := self._ask(self._session)) is not None:
            return found
        response = self._send("POST", f"/v2/{self._name}/blobs/uploads/", body=b"", expect={202})
        self._session = session_of(response)
        self._touched = False
        return self._session, 0

    def _ask(self, session: UploadSession) -> tuple[UploadSession, int] | None:
        """Return where an interrupted session stands, None where it cannot go on."""
        try:
            response = self._send("GET", session.location, expect=_TAKEN)
        except (NotFound, RequestRefused):
            return None
        offset = stored_bytes(response.headers.get("Range"))
        if offset is None or offset > self._passage.reached:
            return None
        self._session = UploadSession(response.location or session.location)
        return self._session, offset

    def _patch(self, session: UploadSession, offset: int) -> UploadSession:
        response = self._send(
            "PATCH",
            session.location,
            headers=self._headers(offset, self._size),
            body=self._passage.body(offset),
            expect=_TAKEN,
        )
        stored = stored_bytes(response.headers.get("Range"))
        session = self._session = UploadSession(response.location or session.location)
        if not self._passage.finished or stored not in {None, self._size}:
            raise Transient(f"{describe('PATCH', response.url)} took {stored} of {self._size} bytes")
        return session

    def _commit(self, session: UploadSession, offset: int, body: bytes | Body) -> None:
        url = with_digest(session.location, self._digest)
        try:
            response = self._send(
                "PUT",
                url,
                headers=self._headers(offset, offset + len(body)),
                body=body,
                expect={*_STORED, *_UNSUPPORTED, _GONE, _RANGE_REFUSED},
            )
        except Transient as failure:
            self._outcome_unknown = self._passage.finished and failure.status not in _NOT_TAKEN
            raise
        if response.status in _STORED and self._passage.finished:
            return
        raise self._failed(response)

    def _failed(self, response: Response) -> Transient | RegistryError:
        """Return what a commit that was refused means, and choose the way of the next try."""
        if response.status in {_GONE, _RANGE_REFUSED}:
            self._session = None
            return Transient(explain("PUT", response), response.status)
        if response.status in _STORED:
            return Transient(f"{describe('PUT', response.url)} was answered before all content was sent")
        if not self._patches:
            self._patches = True
            self._session = None
            return Transient(explain("PUT", response), response.status)
        if "DIGEST_INVALID" in response.codes:
            return ContentMismatch(f"{explain('PUT', response)}.")
        return refusal("PUT", response)

    def _headers(self, start: int, end: int) -> dict[str, str]:
        headers = {"Content-Type": "application/octet-stream"}
        if 0 < start < end:
            headers["Content-Range"] = f"{start}-{end - 1}"
        return headers

    def _send(
        self,
        method: str,
        target: str,
        *,
        expect: set[int] | frozenset[int],
        headers: Mapping[str, str] | None = None,
        body: bytes | Body | None = None,
    ) -> Response:
        more: dict[str, Any] = {} if headers is None else {"headers": headers}
        request = Request(
            method=method,
            target=target,
            repository=self._name,
            scopes=self._scopes,
            body=body,
            expect=frozenset(expect),
            **more,
        )
        # The whole upload is what is tried again, from where it stands: the requests of a try are sent once.
        return self._transport.send(request, retry=False)
