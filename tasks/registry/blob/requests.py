"""The requests of one upload, each tried once (distribution-spec 1.1, "Pushing blobs")."""

from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

from tasks.errors import RegistryError
from tasks.registry.blob.session import UploadSession, with_digest
from tasks.registry.blob.verified import Part
from tasks.registry.http.exchange import Request, Response
from tasks.registry.http.retry import Transient
from tasks.registry.transport import Transport
from tasks.registry.upload_forms import TOO_LARGE

STORED: Final = frozenset({200, 201, 204})
TAKEN: Final = STORED | {202}
GONE: Final = frozenset({404, 416})
UNANSWERED: Final = frozenset({400, 405, 411, 415, 501})
# These answers decide on the form of an upload.
_OF_A_FORM: Final = GONE | UNANSWERED | {TOO_LARGE}


class UploadRequests:
    """The requests about one blob of `size` bytes in the repository `name`; all raise Transient and RegistryError.

    The retry is that of the whole upload, from its present offset.
    """

    def __init__(
        self, transport: Transport, name: str, scopes: frozenset[str], digest: str = "", size: int = 0
    ) -> None:
        self._transport = transport
        self._name = name
        self._scopes = scopes
        self._digest = digest
        self._size = size

    def start(self) -> Response:
        """Open a session."""
        return self._send("POST", f"/v2/{self._name}/blobs/uploads/", b"", expect={202})

    def status(self, session: UploadSession) -> Response:
        """Ask for the status of a session."""
        return self._send("GET", session.location, expect=TAKEN)

    def patch(self, session: UploadSession, part: Part) -> Response:
        """Send a part."""
        return self._send("PATCH", session.location, part, headers=self._headers(part))

    def commit(self, session: UploadSession, part: Part) -> Response:
        """Send the last part, which may be empty, and commit."""
        target, wait = with_digest(session.location, self._digest), self._transport.limits.commit_timeout
        if not part:
            return self._send("PUT", target, b"", wait=wait)
        return self._send("PUT", target, part, headers=self._headers(part), wait=wait)

    def stored_size(self) -> int | None:
        """Return the size of the stored blob, 0 if the registry does not say, None if the blob is not stored."""
        response = self._send("HEAD", f"/v2/{self._name}/blobs/{self._digest}", expect={200, 404, *UNANSWERED})
        if response.status != HTTPStatus.OK:
            return None
        said = response.headers.get("Content-Length", "")
        return int(said) if said.isascii() and said.isdigit() else 0

    def cancel(self, session: UploadSession) -> None:
        """Cancel an unused session ("Cancel a blob upload"); nothing depends on the answer, and no error is raised."""
        with suppress(RegistryError, Transient):
            self._send("DELETE", session.location, wait=self._transport.limits.connect_timeout)

    def _headers(self, part: Part) -> dict[str, str]:
        headers = {"Content-Type": "application/octet-stream"}
        if 0 < len(part) < self._size:
            headers["Content-Range"] = f"{part.offset}-{part.end - 1}"
        return headers

    def _send(
        self,
        method: str,
        target: str,
        body: Part | bytes | None = None,
        *,
        expect: Iterable[int] = TAKEN | _OF_A_FORM,
        **more: Any,
    ) -> Response:
        request = Request(
            method=method,
            target=target,
            repository=self._name,
            scopes=self._scopes,
            body=body,
            expect=frozenset(expect),
            **more,
        )
        return self._transport.send(request, retry=False)
