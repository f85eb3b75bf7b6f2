"""A registry that follows a script: what the script does not name, and what is never asked for, fails the test."""

import collections
import enum
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

from requests.structures import CaseInsensitiveDict

from tests.support.certificates import Certificates
from tests.support.loopback import Handler, LoopbackServer

KEPT_BODY = 1 << 20


@dataclass(frozen=True)
class Received:
    """Hold one request: `target` as it was sent, `body` up to 1 MiB, digest and size of all that was read.

    Requests of one `connection` have the same number there.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)
    body_digest: str = ""
    body_size: int = 0
    connection: int = 0

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True)
class Answer:
    """Say what to send; `headers` may be pairs where a name comes twice.

    A body of bytes gets its Content-Length unless `headers` names one; `framing` sends it chunked, or ended by
    closing the connection. A body that is an iterable is streamed, chunked unless `headers` says how long it is.
    The connection is cut, or goes silent, after that many bytes of the body; `close` ends it after the answer.
    """

    status: int = 200
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()
    body: bytes | Iterable[bytes] = field(default=b"", repr=False)
    framing: Literal["length", "chunked", "close"] = "length"
    cut_after: int | None = None
    stall_after: int | None = None
    close: bool = False


class NoAnswer(enum.Enum):
    """Answer with not a single byte: close the connection, or leave it open."""

    DROP = "drop"
    STALL = "stall"


Reply = Answer | NoAnswer


# No client retries it, nor takes it for "absent" or "log in".
NOT_IN_SCRIPT = Answer(400, body=b"not in the script")


@dataclass(frozen=True)
class Exchange:
    """Name a request and its answer.

    `path` is compared to the letter; with a `?` in it the query is too, else any query will do. `times` of None
    means once or more often. `request_headers` must be there with that value, or be absent for None.
    `request_body` must be equal; `check` may assert anything else. The answer comes when `read` bytes of the
    request's body are there (in pieces of 64 KiB; 0 for none): an early refusal, or an upload cut short by DROP.
    """

    method: str
    path: str
    answer: Reply | Callable[[Received], Reply] = Answer()
    times: int | None = 1
    request_headers: Mapping[str, str | None] = field(default_factory=dict)
    request_body: bytes | None = None
    check: Callable[[Received], None] | None = None
    read: int | None = None

    def names(self, method: str, target: str) -> bool:
        compared = target if "?" in self.path else target.partition("?")[0]
        return method == self.method and compared == self.path

    def reply(self, received: Received) -> Reply:
        return self.answer(received) if callable(self.answer) else self.answer

    def deviations(self, received: Received) -> Iterator[str]:
        for name, value in self.request_headers.items():
            if received.headers.get(name) != value:
                # Never the value that was found: it may be a credential, and the report of a failure is public.
                yield f"header {name} is not {value!r}"
        if self.request_body is not None and received.body != self.request_body:
            yield f"the body of {received.body_size} bytes is not the expected one"
        if self.check is not None:
            try:
                self.check(received)
            except AssertionError as wrong:
                yield f"check failed: {wrong!r}"


class _Scripted(Handler):
    owner: "ScriptedRegistry"

    def answer(self) -> None:
        exchange = self.owner.choose(self.command, self.path)
        pieces = self.body_pieces()
        received = self._receive(pieces, None if exchange is None else exchange.read)
        self.owner.record(received, exchange)
        reply = NOT_IN_SCRIPT if exchange is None else exchange.reply(received)
        if reply is NoAnswer.STALL:
            self.owner.closing.wait()
        if not isinstance(reply, Answer):
            self.close_connection = True
            return
        self._send(reply)
        # An answer that overtakes its request arrives for sure only if the rest of the request is taken in.
        collections.deque(pieces, maxlen=0)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # http.server's names  # noqa: N815 - http.server's names

    def _receive(self, pieces: Iterator[bytes], limit: int | None) -> Received:
        computed, size, kept = hashlib.sha256(), 0, bytearray()
        while limit is None or size < limit:
            piece = next(pieces, None)
            if piece is None:
                break
            computed.update(piece)
            size += len(piece)
            kept += piece[: KEPT_BODY - len(kept)]
        headers = CaseInsensitiveDict(self.headers.items())
        digest = f"sha256:{computed.hexdigest()}"
        return Received(self.command, self.path, headers, bytes(kept), digest, size, self.client_address[1])

    def _send(self, answer: Answer) -> None:
        pairs = answer.headers.items() if isinstance(answer.headers, Mapping) else answer.headers
        names = {name.lower() for name, _ in pairs}
        framing = answer.framing
        if framing == "length" and not isinstance(answer.body, bytes) and "content-length" not in names:
            framing = "chunked"
        # Without Date and Server, where the script dates its answer.
        (self.send_response_only if "date" in names else self.send_response)(answer.status)
        for name, value in pairs:
            self.send_header(name, value)
        if framing == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        elif framing == "length" and "content-length" not in names and isinstance(answer.body, bytes):
            self.send_header("Content-Length", str(len(answer.body)))
        if framing == "close" or answer.close:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.flush()
        if self.command != "HEAD":
            self._send_body(answer, chunked=framing == "chunked")

    def _send_body(self, answer: Answer, *, chunked: bool) -> None:
        pieces = (answer.body,) if isinstance(answer.body, bytes) else answer.body
        limits = [limit for limit in (answer.cut_after, answer.stall_after) if limit is not None]
        left = min(limits, default=None)
        for piece in pieces:
            sent = piece if left is None else piece[:left]
            if sent:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(sent), sent) if chunked else sent)
                self.wfile.flush()
            if left is not None:
                left -= len(sent)
                if left == 0:
                    break
        if left is None:
            self.wfile.write(b"0\r\n\r\n" if chunked else b"")
            self.wfile.flush()
            return
        if answer.stall_after is not None and left == 0:
            self.owner.closing.wait()
        self.close_connection = True


class ScriptedRegistry(LoopbackServer):
    """Answer by script while the context lasts; leaving it raises AssertionError with all deviations.

    Where several exchanges name a request, the first that is not used up answers it. With `ordered` requests must
    come in the order of the script. Where the block raises by itself, the deviations become notes of that error.
    """

    handler = _Scripted

    def __init__(self, *exchanges: Exchange, ordered: bool = False, tls: Certificates | None = None) -> None:
        super().__init__(tls=tls)
        self._ordered = ordered
        self._exchanges: list[Exchange] = []
        self._used: list[int] = []
        self._position = 0
        self._deviations: list[str] = []
        self._guard = threading.RLock()
        self.received: list[Received] = []
        self.closing = threading.Event()
        self.expect(*exchanges)

    def expect(self, *exchanges: Exchange) -> None:
        """Add to the script, say what needs `host` in a Location."""
        with self._guard:
            self._exchanges += exchanges
            self._used += [0] * len(exchanges)

    @property
    def deviations(self) -> list[str]:
        """Return what has gone off the script so far, without what is still to come."""
        return [*self._deviations, *(f"inside the server: {fault!r}" for fault in self.faults)]

    def requests(self) -> list[tuple[str, str]]:
        """Return method and target of all requests, oldest first."""
        return [(each.method, each.target) for each in self.received]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        super().__exit__(kind, error, trace)
        faults = [*self.deviations, *self._never_asked()]
        if not faults:
            return
        message = "the script was not followed:\n" + "\n".join(faults)
        if error is None:
            raise AssertionError(message)
        error.add_note(message)

    def choose(self, method: str, target: str) -> Exchange | None:
        """Take the exchange that answers a request, None (noted as a deviation) where the script has none."""
        with self._guard:
            for number in range(self._position, len(self._exchanges)):
                each, used = self._exchanges[number], self._used[number]
                if each.names(method, target) and (each.times is None or used < each.times):
                    self._used[number] += 1
                    self._position = number if self._ordered else 0
                    return each
                if self._ordered and used < (each.times or 1):
                    break
            self._deviations.append(f"not in the script: {method} {target}")
            return None

    def record(self, received: Received, exchange: Exchange | None) -> None:
        with self._guard:
            self.received.append(received)
            if exchange is not None:
                name = f"{received.method} {received.target}"
                self._deviations += [f"{name}: {fault}" for fault in exchange.deviations(received)]

    def _never_asked(self) -> Iterator[str]:
        for each, used in zip(self._exchanges, self._used, strict=True):
            wanted = 1 if each.times is None else each.times
            if used < wanted:
                yield f"asked for {used} of {wanted} times: {each.method} {each.path}"


class ImprovisingRegistry(ScriptedRegistry):
    """Answer every request by a function of it, which may change; nothing is off the script."""

    def __init__(
        self, answer: Callable[[Received], Reply] = lambda _: Answer(), *, tls: Certificates | None = None
    ) -> None:
        super().__init__(tls=tls)
        self.answer = answer

    def choose(self, method: str, target: str) -> Exchange:
        return Exchange(method, target, self.answer)
