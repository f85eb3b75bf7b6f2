"""The session that one upload holds at a registry: opened, resumed, cancelled (BEHAVIOUR 5.6).

Tests of Distribution 2.8 with cut connections show: it commits nothing of an interrupted request, and the bytes that
it received are lost. `_state` in the session's Location carries the signed offset, and any other offset on its disk
makes the session invalid (404 on the status too). An untouched session (after a 401, say) stays valid; after a whole
PATCH only the Location of its answer is valid. So after any failure the session is asked for its status: it goes on at
the offset that the registry names, and a new session is opened if the old one is gone.
"""

from tasks.errors import NotFound, RequestRefused
from tasks.registry.blob.requests import UploadRequests, cancel_upload
from tasks.registry.blob.session import UploadSession, session_of, stored_bytes
from tasks.registry.http.exchange import Response
from tasks.registry.transport import Transport


class OpenSession:
    """The session of one upload; `found` is one that a refused mount opened.

    `bodies` is the number of bodies in the session, which the upload counts; in a new session it is 0.
    """

    def __init__(self, transport: Transport, requests: UploadRequests, found: UploadSession | None) -> None:
        self.bodies = 0
        self._transport = transport
        self._requests = requests
        self._session = found
        self._is_touched = False

    @property
    def current(self) -> UploadSession:
        """The session as the registry described it last; raises TypeError before `resume`."""
        if self._session is None:
            raise TypeError("an upload has a session before it sends anything")
        return self._session

    def resume(self, sent: int) -> int:
        """Continue the session or open one, and return the number of bytes in it, of at most `sent`.

        Raises RegistryError, Transient.
        """
        # Nothing was sent in a session that was only found.
        stored = self._ask(sent) if self._is_touched else 0
        if self._session is None or stored is None:
            self.bodies = stored = 0
            self._session = session_of(self._transport.send(self._requests.start(), retry=False))
        self._is_touched = True
        return stored

    def _ask(self, sent: int) -> int | None:
        """Return the offset of an interrupted session, None if there is none that can go on; then it is cancelled."""
        if self._session is None:
            return None
        try:
            response = self._transport.send(self._requests.status(self._session), retry=False)
        except NotFound:
            self.end()
            return None
        except RequestRefused:
            self.cancel()
            return None
        self.move(response)
        stored = stored_bytes(response.headers.get("Range"), sent, counts=self.current.counts)
        if stored is None:
            self.cancel()
        return stored

    def move(self, response: Response) -> None:
        """Follow the session to the Location that a response names."""
        self._session = self.current.moved(response)

    def end(self) -> None:
        """Forget the session, which the registry has ended."""
        self._session = None

    def cancel(self) -> None:
        """Give the session up and cancel it: a registry that refused only the form of a body keeps it open."""
        session, self._session = self._session, None
        if session is not None:
            cancel_upload(self._transport, self._requests, session)
