"""The requests of one upload (distribution-spec 1.1, "Pushing blobs"). Pure, but for the cancellation."""

from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

from tasks.errors import RegistryError
from tasks.registry.blob.session import UploadSession, with_digest
from tasks.registry.blob.verified import Part
from tasks.registry.http.exchange import Request, Response
from tasks.registry.http.length import declared_length
from tasks.registry.http.retry import Transient
from tasks.registry.http.visited_socket import Patience
from tasks.registry.transport import Transport
from tasks.registry.upload_forms import TOO_LARGE

STORED: Final = frozenset({200, 201, 204})
TAKEN: Final = STORED | {202}
GONE: Final = frozenset({404, 416})
UNANSWERED: Final = frozenset({400, 405, 411, 415, 501})
# These answers decide on the form of an upload.
_OF_A_FORM: Final = GONE | UNANSWERED | {TOO_LARGE}
# A registry that stores a blob in an object store may copy it there before it answers: slower ones are slow.
_STORED_BYTES_A_SECOND: Final = 10 << 20


class UploadRequests:
    """The requests about one blob of `size` bytes in the repository `name`."""

    def __init__(
        self, name: str, scopes: frozenset[str], commit_timeout: float, digest: str = "", size: int = 0
    ) -> None:
        self._name = name
        self._scopes = scopes
        self._patience = Patience(commit_timeout, size / _STORED_BYTES_A_SECOND)
        self._digest = digest
        self._size = size

    def start(self) -> Request:
        """Return the request that opens a session."""
        return self._request("POST", f"/v2/{self._name}/blobs/uploads/", b"", expect={202})

    def status(self, session: UploadSession) -> Request:
        """Return the request for the status of a session."""
        return self._request("GET", session.location, expect=TAKEN)

    def patch(self, session: UploadSession, part: Part) -> Request:
        """Return the request that sends a part."""
        return self._request("PATCH", session.location, part, headers=self._headers(part))

    def commit(self, session: UploadSession, part: Part) -> Request:
        """Return the request that sends the last part, which may be empty, and commits."""
        target = with_digest(session.location, self._digest)
        headers = self._headers(part) if part else {}
        return self._request("PUT", target, part or b"", headers=headers, patience=self._patience)

    def stored(self) -> Request:
        """Return the request that tells whether the blob is stored."""
        return self._request("HEAD", f"/v2/{self._name}/blobs/{self._digest}", expect={200, 404, *UNANSWERED})

    def cancel(self, session: UploadSession, wait: float) -> Request:
        """Return the request that cancels a session ("Cancel a blob upload"), for an answer within `wait` seconds."""
        return self._request("DELETE", session.location, patience=Patience(wait, wait))

    def _headers(self, part: Part) -> dict[str, str]:
        headers = {"Content-Type": "application/octet-stream"}
        if 0 < len(part) < self._size:
            headers["Content-Range"] = f"{part.offset}-{part.end - 1}"
        return headers

    def _request(
        self,
        method: str,
        target: str,
        body: Part | bytes | None = None,
        *,
        expect: Iterable[int] = TAKEN | _OF_A_FORM,
        **more: Any,
    ) -> Request:
        return Request(
            method=method,
            target=target,
            repository=self._name,
            scopes=self._scopes,
            body=body,
            expect=frozenset(expect),
            **more,
        )


def stored_size(answer: Response) -> int | None:
    """Return the size of a stored blob, 0 if the registry does not say, None if the blob is not stored."""
    return declared_length(answer.headers) or 0 if answer.status == HTTPStatus.OK else None


def cancel_upload(transport: Transport, requests: UploadRequests, session: UploadSession) -> None:
    """Cancel an unused session; nothing depends on the answer, and no error is raised."""
    with suppress(RegistryError, Transient):
        transport.send(requests.cancel(session, transport.limits.connect_timeout), retry=False)
