"""Upload sessions: the forms that a profile takes, and what it makes of the others."""

import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.profiles.answers import Refused, error, page
from tests.support.profiles.request import DIGEST, Request
from tests.support.profiles.store import Repository, digest_like
from tests.support.scripted import Answer, NoAnswer

if TYPE_CHECKING:
    from tests.support.profiles.server import ProfileRegistry

_START = re.compile(r"([0-9]+)-[0-9]+", re.ASCII)
_OPENED = 202
_CODES = {400: "BLOB_UPLOAD_INVALID", 404: "BLOB_UPLOAD_UNKNOWN", 413: "SIZE_INVALID"}
_UNKNOWN = error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", {})


@dataclass
class Session:
    """One upload: the parts so far, and every state that was handed out with a Location."""

    key: str
    repository: Repository
    parts: list[bytes] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(map(len, self.parts))


class Uploads:
    """Answer for `/blobs/uploads/`; `open` holds the sessions that were neither committed nor cancelled."""

    def __init__(self, registry: "ProfileRegistry") -> None:
        self._registry = registry
        self._rules = registry.profile.uploads
        self.open: dict[str, Session] = {}

    def start(self, request: Request) -> Answer:
        """Answer a POST: a mount, a blob in one request, or a session."""
        content = request.read(self._rules.put_limit, self._too_large("POST"))
        with self._registry.guard:
            self._registry.refuse_writes(request, "upload")
            repository = self._registry.access.repository_to_write(request)
            digest, mounted = request.first("digest"), request.first("mount")
            if mounted is not None and self._mount(request, repository, mounted):
                return self._stored(repository, mounted)
            if digest is not None and content and self._rules.post_with_digest:
                return self._commit(Session("", repository, [content]), digest)
            session = Session(secrets.token_hex(12), repository)
            self.open[session.key] = session
            return self._state(session, _OPENED, "bytes=0--1" if self._rules.ranges == "quay" else "0-0")

    def status(self, request: Request) -> Answer:
        with self._registry.guard:
            session = self._session(request)
            return self._state(session, 204, self._held(session))

    def cancel(self, request: Request) -> Answer:
        with self._registry.guard:
            del self.open[self._session(request).key]
            return Answer(204)

    def patch(self, request: Request) -> Answer:
        """Take a part in; one that breaks off, or comes out of order, leaves the session as it was."""
        with self._registry.guard:
            self._registry.refuse_writes(request, "")
            session = self._session(request, writes=True)
            self._refuse_part(request, session)
        of_part = self._rules.part_limit if "Content-Range" in request.headers else None
        limits = [each for each in (self._rules.patch_limit, self._rules.chunk_max, of_part) if each is not None]
        content = request.read(min(limits, default=None), self._too_large("PATCH"))
        with self._registry.guard:
            session.parts.append(content)
            return self._state(session, self._rules.patch_status, _positions(session))

    def put(self, request: Request) -> Answer:
        """Commit a session, with the last part where there is one."""
        with self._registry.guard:
            self._registry.refuse_writes(request, "")
            session = self._session(request, writes=True)
            self._refuse_part(request, session, last=True)
        content = request.read(self._rules.put_limit, self._too_large("PUT"))
        with self._registry.guard:
            if content:
                session.parts.append(content)
            return self._commit(session, request.first("digest") or "")

    def _session(self, request: Request, *, writes: bool = False) -> Session:
        found = self.open.get(request.reference)
        if found is None or found.repository.name != request.name:
            raise Refused(_UNKNOWN)
        if request.first("_state") not in found.states:
            self._registry.violate(request, "the Location of the session was not used to the letter")
            raise Refused(_UNKNOWN)
        return found

    def _refuse_part(self, request: Request, session: Session, *, last: bool = False) -> None:
        rules = self._rules
        has_content = bool(request.length) or "Transfer-Encoding" in request.headers
        if not has_content:
            return
        if session.parts and rules.several_patches == "refused" and not last:
            raise Refused(error(400, "BLOB_UPLOAD_INVALID", "chunked uploads are not supported"))
        if session.parts and rules.chunk_min is not None and len(session.parts[-1]) < rules.chunk_min:
            self._registry.violate(request, f"a part before the last one has less than {rules.chunk_min} bytes")
            raise Refused(error(400, "SIZE_INVALID", "a part is smaller than OCI-Chunk-Min-Length"))
        start = _START.fullmatch(request.headers.get("Content-Range", ""))
        if start and rules.content_range == "checked" and int(start[1]) != session.size:
            raise Refused(self._state(session, 416, self._held(session)))

    def _mount(self, request: Request, repository: Repository, digest: str) -> bool:
        if self._rules.mount == "denied":
            raise Refused(error(403, "DENIED", "cross repository mounts are denied"))
        origin = request.first("from") or ""
        found = self._registry.store.repositories.get(origin)
        readable = self._registry.access.may(request, origin, "pull")
        if self._rules.mount == "phantom" and origin != request.name:
            return True
        if self._rules.mount == "session" or found is None or not readable or digest not in found.blobs:
            return False
        self._registry.store.link(repository, digest)
        return True

    def _commit(self, session: Session, digest: str) -> Answer:
        content = b"".join(session.parts)
        several = len(session.parts) > 1
        if several and self._rules.several_patches == "keep_last":
            content = session.parts[-1]
        self.open.pop(session.key, None)
        if not DIGEST.fullmatch(digest) or digest_like(digest, content) != digest:
            raise Refused(self._rules.wrong_digest.answer(digest=digest, repository=session.repository.name))
        if several and self._rules.several_patches == "corrupt":
            content = b"".join(session.parts[1:])
        self._registry.store.link(session.repository, digest, content)
        return self._stored(session.repository, digest)

    def _stored(self, repository: Repository, digest: str) -> Answer:
        location = self._location(f"/v2/{repository.name}/blobs/{digest}")
        return Answer(201, {"Location": location, "Docker-Content-Digest": digest})

    def _state(self, session: Session, status: int, said: str) -> Answer:
        """Say where a session stands, under a Location that differs from all earlier ones."""
        session.states.append(secrets.token_hex(8))
        path = f"/v2/{session.repository.name}/blobs/uploads/{session.key}?_state={session.states[-1]}"
        headers = {"Location": self._location(path), "Range": said, "Docker-Upload-UUID": session.key}
        if status == _OPENED and self._rules.chunk_min is not None:
            headers["OCI-Chunk-Min-Length"] = str(self._rules.chunk_min)
        if status == _OPENED and self._rules.chunk_max is not None:
            headers["OCI-Chunk-Max-Length"] = str(self._rules.chunk_max)
        return Answer(status, headers)

    def _held(self, session: Session) -> str:
        if self._rules.ranges == "quay":
            return f"bytes=0-{session.size}"
        return _positions(session)

    def _location(self, path: str) -> str:
        return path if self._rules.relative_location else f"{self._registry.url}{path}"

    def _too_large(self, method: str) -> Answer | NoAnswer:
        if self._rules.limit_body == "none":
            return NoAnswer.DROP
        status = self._rules.put_refusal if method == "PUT" else 413
        if self._rules.limit_body == "page":
            return page(status, f"{status} Request Entity Too Large")
        return error(status, _CODES[status], "this form of upload is not taken")


def _positions(session: Session) -> str:
    return f"0-{max(session.size - 1, 0)}"
