"""One connection to the registry: requests in, answers out."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from requests.structures import CaseInsensitiveDict

from tests.support.loopback import Handler
from tests.support.profiles.request import Request
from tests.support.profiles.sending import send
from tests.support.scripted import Answer, NoAnswer

if TYPE_CHECKING:
    from tests.support.profiles.server import ProfileRegistry


class RegistryHandler(Handler):
    """Hand requests to the registry; a body that breaks off ends the connection before anything takes effect."""

    owner: "ProfileRegistry"

    def answer(self) -> None:
        # A header may stand several times, Accept does so often: its values are one list (RFC 9110, 5.3).
        headers = {name.lower(): ", ".join(self.headers.get_all(name) or ()) for name in self.headers}
        request = Request(self.command, self.path, CaseInsensitiveDict(headers), self.body_pieces())
        reply = self.owner.answer(request)
        if not isinstance(reply, Answer):
            if reply is NoAnswer.STALL:
                self.owner.closing.wait()
            self.close_connection = True
            return
        unread = next(request.pieces, None) is not None
        self.close_connection = self.close_connection or unread
        send(self, reply, interim=self.owner.profile.interim)
        # An answer that overtakes its request arrives for sure only if the rest of the request is taken in.
        for _ in request.pieces:
            pass

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # http.server's names  # noqa: N815 - http.server's names

    def body_pieces(self) -> Iterator[bytes]:
        """Yield the body, chunked or not; raise ConnectionResetError where the client leaves before its end."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield from self._exactly(int(self.headers.get("Content-Length", "0")))
            return
        while size := int(self._line().split(b";")[0], 16):
            yield from self._exactly(size)
            self._line()
        while self._line().strip():
            pass

    def _line(self) -> bytes:
        line = self.rfile.readline()
        if not line:
            raise ConnectionResetError
        return line

    def _exactly(self, size: int) -> Iterator[bytes]:
        for piece in self._pieces(size):
            size -= len(piece)
            yield piece
        if size:
            raise ConnectionResetError
