"""The upload of one blob (distribution-spec 1.1, "Pushing blobs"; BEHAVIOUR 5.3, 5.6).

`forms` decides the form of the bytes and the next form; this module makes the requests.

Tests of Distribution 2.8 with cut connections show: it commits nothing of an interrupted request, and the bytes that
it received are lost. `_state` in the session's Location carries the signed offset, and any other offset on its disk
makes the session invalid (404 on the status too). An untouched session (after a 401, say) stays valid; after a whole
PATCH only the Location of its answer is valid. So after any failure the upload asks for the session's status: it
resumes at the offset that the registry names, and starts a new session if the old one is gone.
"""

from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

from tasks.errors import (
    AuthenticationRefused,
    ContentMismatch,
    ImagePusherError,
    NotFound,
    RateLimited,
    RegistryError,
    RegistryUnavailable,
    RequestRefused,
    Side,
)
from tasks.oci.descriptor import Descriptor
from tasks.registry.blob.session import UploadSession, session_of, stored_bytes, with_digest
from tasks.registry.blob.verified import Part, Passage, Reader
from tasks.registry.http.exchange import Request, Response, describe
from tasks.registry.http.refusal import explain, refusal
from tasks.registry.http.retry import Transient
from tasks.registry.transport import Transport
from tasks.registry.upload_forms import TOO_LARGE, Refused, Way, first_way

_STORED: Final = frozenset({200, 201, 204})
_TAKEN: Final = _STORED | {202}
_GONE: Final = frozenset({404, 416})
_UNANSWERED: Final = frozenset({400, 405, 411, 415, 501})
# These answers to a commit end its session.
_ENDS: Final = _GONE | {400}
# These answers decide on the form of an upload.
_OF_A_FORM: Final = _GONE | _UNANSWERED | {TOO_LARGE}
# A request without access, or over a limit, has not stored anything.
_NOT_TAKEN: Final = frozenset({401, 429})
# A registry that does not serve is not asked to cancel a session.
_AWAY: Final = (RegistryUnavailable, RateLimited, AuthenticationRefused)


class BlobUpload:
    """The upload of one blob into one repository; used once, by one thread."""

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
        known = transport.forms.refused(transport.registry)
        self._way = first_way(descriptor.size, transport.settings.uploads, transport.settings.part_bytes, known)
        self._bodies = 0
        self._furthest = 0
        self._committed_again = False
        self._touched = False
        self._outcome_unknown = False

    def run(self) -> None:
        """Store the blob; tries are bounded as long as no new byte gets through.

        An abandoned session is cancelled. Raises ContentMismatch, RegistryError, and the errors of the reader and of
        `progress`.
        """
        try:
            for attempt in self._transport.policy.attempts(lambda: self._passage.reached):
                with attempt:
                    # After a failure only the registry knows how far the upload came.
                    offset: int | None = None
                    stored = self._outcome_unknown and self._is_stored()
                    self._outcome_unknown = False
                    while not stored:
                        if offset is None:
                            offset = self._resume()
                        elif offset < self._size and self._way.form != "put":
                            offset = self._patch(offset)
                        else:
                            stored, offset = self._commit(offset), None
        except ImagePusherError as error:
            if self._session is not None and (error.side is Side.SOURCE or not isinstance(error, _AWAY)):
                cancel(self._transport, self._name, self._scopes, self._session)
            raise
        if self._way.refused != Refused():
            self._transport.forms.note(self._transport.registry, self._way.refused)

    def _patch(self, offset: int) -> int | None:
        """Send the part at `offset` and return its end; None if its form was refused and another one is to be tried."""
        end = self._way.part(offset)
        request = self._request("PATCH", self._location, self._passage.body(offset, end))
        response = self._transport.send(request, retry=False)
        if response.status in _TAKEN:
            return self._taken(response, end)
        self._change("PATCH", response, end - offset)
        return None

    def _commit(self, offset: int) -> bool:
        """Send what is missing and commit; return False if the form was refused and another form is to be tried."""
        body = self._passage.body(offset) if offset < self._size else b""
        request = self._request("PUT", with_digest(self._location, self._digest), body)
        try:
            response = self._transport.send(request, retry=False)
        except Transient as failure:
            self._outcome_unknown = self._passage.finished and failure.status not in _NOT_TAKEN
            raise
        if response.status not in _STORED:
            self._change("PUT", response, len(body))
            return False
        if not self._passage.finished:
            raise Transient(f"{describe('PUT', response.url)} was answered before all content was sent")
        self._session = None
        return True

    @property
    def _location(self) -> str:
        if self._session is None:
            raise TypeError("an upload has a session before it sends anything")
        return self._session.location

    def _is_stored(self) -> bool:
        """Tell whether a commit without an answer took effect: asking is cheaper than sending again."""
        request = self._request("HEAD", f"/v2/{self._name}/blobs/{self._digest}", expect={200, 404, *_UNANSWERED})
        return self._transport.send(request, retry=False).status == HTTPStatus.OK

    def _resume(self) -> int:
        """Continue or open a session, and return the number of bytes in it."""
        if self._session is not None:
            stored = self._ask(self._session) if self._touched else 0
            if stored is not None:
                return self._begin(self._session, stored)
        request = self._request("POST", f"/v2/{self._name}/blobs/uploads/", b"", expect={202})
        self._bodies = 0
        return self._begin(session_of(self._transport.send(request, retry=False)), 0)

    def _begin(self, session: UploadSession, stored: int) -> int:
        self._session = session
        self._touched = True
        self._way = self._way.bounded(session.least, session.most)
        return stored

    def _ask(self, session: UploadSession) -> int | None:
        """Return the offset of an interrupted session, None if it cannot go on."""
        try:
            response = self._transport.send(self._request("GET", session.location, expect=_TAKEN), retry=False)
        except (NotFound, RequestRefused):
            return None
        stored = stored_bytes(response.headers.get("Range"), self._passage.reached, counts=session.counts)
        if stored is not None:
            self._session = session.moved(response)
        return stored

    def _taken(self, response: Response, end: int) -> int:
        """Return the offset after a successful PATCH up to `end`; raises Transient if only part was taken."""
        if self._session is not None:
            self._session = self._session.moved(response)
        stored = stored_bytes(response.headers.get("Range"), end)
        if self._passage.position != end or stored not in {None, end}:
            raise Transient(f"{describe('PATCH', response.url)} took {stored} of {end} bytes")
        self._bodies += 1
        if end > self._furthest:
            self._furthest, self._way = end, self._way.went_well()
        return end

    def _change(self, method: str, response: Response, sent: int) -> None:
        """Change to another session or form; without one, raise the error that the refusal means."""
        error = refusal(method, response)
        found = None
        if type(error) in {RequestRefused, NotFound}:
            found = self._way.after(response.status, sent) if sent or self._way.form == "put" else self._again(response)
        if found is None:
            if method == "PUT" and response.status in _ENDS:
                self._session = None
            mismatch = "DIGEST_INVALID" in response.codes
            raise ContentMismatch(f"{explain(method, response)}.") if mismatch else self._named(error, response.status)
        if method == "PUT" and response.status in _ENDS | _UNANSWERED:
            self._give_up(self._session)
        self._way = found

    def _named(self, error: RegistryError, status: int) -> RegistryError:
        """Return the error of an upload of which no form is left, with the way out if the bodies are too large."""
        if status != TOO_LARGE or type(error) is not RequestRefused:
            return error
        return RequestRefused(
            f"{error.message} No smaller body is tried: have the limit of the registry, or of the proxy before it,"
            f' raised, or set `uploads` of {self._transport.registry} to "parts" and `part_bytes` below that limit.'
        )

    def _give_up(self, session: UploadSession | None) -> None:
        """Drop the session and cancel it: a registry that refused only the form of a body keeps it open."""
        if session is not None:
            cancel(self._transport, self._name, self._scopes, session)
        self._session = None

    def _again(self, response: Response) -> Way | None:
        """Return the way after a commit failed with all bytes sent: the session is gone, or lacks some bodies."""
        lacking = response.status == HTTPStatus.BAD_REQUEST and self._bodies > 1 and self._way.form == "patch"
        if self._committed_again or not (lacking or response.status in _GONE):
            return None
        self._committed_again = True
        return self._way

    def _headers(self, body: Part | bytes | None) -> dict[str, str]:
        headers = {"Content-Type": "application/octet-stream"}
        if isinstance(body, Part) and 0 < body.end - body.offset < self._size:
            headers["Content-Range"] = f"{body.offset}-{body.end - 1}"
        return headers

    def _request(
        self, method: str, target: str, body: Part | bytes | None = None, *, expect: Any = _TAKEN | _OF_A_FORM
    ) -> Request:
        """Return one request, to be tried once: the retry is that of the whole upload, from its present offset."""
        more: dict[str, Any] = {"headers": self._headers(body)} if isinstance(body, Part) else {}
        if method == "PUT":
            more["wait"] = self._transport.limits.commit_timeout
        return Request(
            method=method,
            target=target,
            repository=self._name,
            scopes=self._scopes,
            body=body,
            expect=frozenset(expect),
            **more,
        )


def cancel(transport: Transport, name: str, scopes: frozenset[str], session: UploadSession) -> None:
    """Cancel an unused session (distribution-spec, "Cancel a blob upload").

    The registry's answer is ignored: nothing depends on it.
    """
    request = Request(
        method="DELETE",
        target=session.location,
        repository=name,
        scopes=scopes,
        expect=_TAKEN | _OF_A_FORM,
        wait=transport.limits.connect_timeout,
    )
    with suppress(RegistryError, Transient):
        transport.send(request, retry=False)
