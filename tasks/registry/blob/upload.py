"""The upload of one blob (distribution-spec 1.1, "Pushing blobs"; BEHAVIOUR 5.3, 5.6).

`Way` decides the form of the bytes and the next form, `OpenSession` holds the session. After any failure the session is
resumed first: only the registry knows how far the upload came.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

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
from tasks.registry.blob.drops import Drops
from tasks.registry.blob.no_form import not_joined, too_large, unanswered
from tasks.registry.blob.open_session import OpenSession
from tasks.registry.blob.requests import GONE, STORED, TAKEN, UNANSWERED, UploadRequests, stored_size
from tasks.registry.blob.session import UploadSession, names_other, stored_bytes
from tasks.registry.blob.verified import Part, Passage, Reader
from tasks.registry.http.exchange import Response, describe
from tasks.registry.http.refusal import explain, refusal
from tasks.registry.http.retry import Transient
from tasks.registry.transport import Transport
from tasks.registry.upload_forms import TOO_LARGE, Refused, Way, first_way

# These answers to a commit end its session.
_ENDS: Final = GONE | {400}
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
        commit_timeout = transport.limits.commit_timeout
        self._requests = UploadRequests(name, scopes, commit_timeout, descriptor.digest, descriptor.size)
        self._size = descriptor.size
        self._passage = Passage(descriptor, reader, progress)
        self._session = OpenSession(transport, self._requests, session)
        known = transport.forms.refused(transport.registry)
        self._way = first_way(descriptor.size, transport.settings.uploads, transport.settings.part_bytes, known)
        self._drops = Drops()
        self._furthest = 0
        self._committed_again = False
        self._outcome_unknown = False

    def run(self) -> None:
        """Store the blob; tries are bounded as long as no new byte gets through.

        An abandoned session is cancelled. Raises ContentMismatch, RegistryError, and the errors of the reader and of
        `progress`.
        """
        try:
            # Another form is progress, too: there are few of them.
            for attempt in self._transport.policy.attempts(lambda: self._passage.reached + self._drops.changes):
                with attempt:
                    self._drops.is_last = False
                    # After a failure only the registry knows how far the upload came.
                    offset: int | None = None
                    stored = self._outcome_unknown and self._stored_size() in {self._size, 0}
                    self._outcome_unknown = False
                    while not stored:
                        if offset is None:
                            offset = self._resume()
                        elif offset < self._size and self._way.form != "put":
                            offset = self._patch(offset)
                        else:
                            stored, offset = self._commit(offset), None
        except ImagePusherError as error:
            if error.side is Side.SOURCE or self._drops.is_last or not isinstance(error, _AWAY):
                self._session.cancel()
            if self._drops.met_all_forms and isinstance(error, RegistryUnavailable):
                raise unanswered(error, self._transport.registry) from None
            raise
        if self._way.refused != Refused():
            self._transport.forms.note(self._transport.registry, self._way.refused)

    def _patch(self, offset: int) -> int | None:
        """Send the part at `offset` and return its end; None if its form was refused and another one is to be tried."""
        end = self._way.part(offset)
        part = self._passage.body(offset, end)
        with self._noting_drops(part):
            response = self._transport.send(self._requests.patch(self._session.current, part), retry=False)
        if response.status in TAKEN:
            return self._taken(response, end)
        self._change("PATCH", response, end - offset)
        return None

    def _commit(self, offset: int) -> bool:
        """Send what is missing and commit; return False if another form or session is to be tried."""
        part = self._passage.body(offset)
        try:
            with self._noting_drops(part):
                response = self._transport.send(self._requests.commit(self._session.current, part), retry=False)
        except Transient as failure:
            self._outcome_unknown = self._passage.finished and failure.status not in _NOT_TAKEN
            raise
        if response.status == HTTPStatus.ACCEPTED:
            # The registry stores it by itself, or has not understood: the look for the blob tells.
            self._outcome_unknown = True
            raise Transient(f"{describe('PUT', response.url)} answered 202, and has not stored the blob yet", 202)
        if response.status not in STORED:
            self._change("PUT", response, self._size - offset)
            return False
        if not self._passage.finished:
            raise Transient(f"{describe('PUT', response.url)} was answered before all content was sent")
        self._session.end()
        self._check_digest(response)
        return self._session.bodies <= 1 or self._is_joined(response)

    def _check_digest(self, committed: Response) -> None:
        """Raise ContentMismatch if the registry names another digest and does not have the blob under its own."""
        if names_other(committed, self._passage.digest) and self._stored_size() not in {self._size, 0}:
            raise ContentMismatch(f"{describe('PUT', committed.url)} did not store {self._passage.digest}.")

    def _stored_size(self) -> int | None:
        return stored_size(self._transport.send(self._requests.stored(), retry=False))

    @contextmanager
    def _noting_drops(self, part: Part) -> Iterator[None]:
        """Note a body that gets no answer."""
        begun = self._passage.begun
        try:
            yield
        except Transient as failure:
            # A body that was not begun found no connection.
            if self._passage.begun != begun or not part:
                self._drops.note(failure, part)
            raise

    def _is_joined(self, committed: Response) -> bool:
        """Tell whether the registry put the bodies of the blob together; return False if another session is due.

        Some registries commit the last body alone, without a word. Raises the error of parts that are not joined.
        """
        size = self._stored_size()
        if size in {self._size, 0, None}:
            return True
        if self._way.form == "parts" or self._committed_again:
            raise self._not_joined(f"{describe('PUT', committed.url)} stored {size} of {self._size} bytes.")
        self._committed_again = True
        return False

    def _resume(self) -> int:
        """Continue or open a session, and return the number of bytes in it."""
        dropped = self._drops.after(self._way)
        if dropped is not None:
            self._way = dropped
            if self._drops.offset == 0:
                self._session.cancel()
        stored = self._session.resume(self._passage.reached)
        if stored and self._way.form != "put":
            # Of a PATCH of which only a part was kept.
            self._session.bodies = max(self._session.bodies, 1)
        self._way = self._way.bounded(self._session.current.least, self._session.current.most)
        return stored

    def _taken(self, response: Response, end: int) -> int:
        """Return the offset after a successful PATCH up to `end`; raises Transient if only part was taken."""
        self._session.move(response)
        stored = stored_bytes(response.headers.get("Range"), end)
        if self._passage.position != end or stored not in {None, end}:
            raise Transient(f"{describe('PATCH', response.url)} took {stored} of {end} bytes")
        self._session.bodies += 1
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
                self._session.end()
            raise self._named(method, error, response)
        if method == "PUT" and response.status in _ENDS | UNANSWERED:
            self._session.cancel()
        self._way = found

    def _again(self, response: Response) -> Way | None:
        """Return the way after a commit failed with all bytes sent: the session is gone, or lacks some bodies."""
        lacking = response.status == HTTPStatus.BAD_REQUEST and self._session.bodies > 1 and self._way.form == "patch"
        if self._committed_again or not (lacking or response.status in GONE):
            return None
        self._committed_again = True
        return self._way

    def _named(self, method: str, error: RegistryError, response: Response) -> RegistryError:
        """Return the error of an upload of which no form is left, with the way out if one is known."""
        if response.status == HTTPStatus.BAD_REQUEST and self._session.bodies > 1 and self._way.form == "parts":
            return self._not_joined(error.message)
        if "DIGEST_INVALID" in response.codes:
            return ContentMismatch(f"{explain(method, response)}.")
        is_too_large = response.status == TOO_LARGE and type(error) is RequestRefused
        return too_large(error, self._transport.registry) if is_too_large else error

    def _not_joined(self, what: str) -> RegistryError:
        registry = self._transport.registry
        known = self._transport.forms.refused(registry).united(self._way.refused)
        return not_joined(what, registry, self._size, self._way, known, by_drops=self._drops.changes > 0)
