"""An HTTP proxy before a real registry that injects faults; what it does to which request, a plan decides."""

import http.client
import select
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from http import HTTPStatus
from time import time
from types import TracebackType
from typing import Literal, NoReturn, Self

from tests.support.faults import Fault, Injected, Kind, Plan
from tests.support.loopback import Handler, LoopbackServer

_DENIALS = {
    Kind.REFUSED: b'{"errors":[{"code":"UNKNOWN","message":"a fault that a test injected"}]}',
    Kind.LIMITED: b'{"errors":[{"code":"TOOMANYREQUESTS","message":"a limit that a test set"}]}',
}
_PAGE = b"<html><body><h1>Too many requests</h1></body></html>"
_OF_ONE_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host", "expect"})
_UPSTREAM_TIMEOUT = 60

Ending = Literal["goes on", "close", "reset", "stall"]


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    content: bytes = b""
    # What HEAD, or a broken answer, declares.
    declared: str | None = None

    def head(self) -> bytes:
        length = str(len(self.content)) if self.declared is None else self.declared
        lines = [
            f"HTTP/1.1 {self.status} {_reason(self.status)}",
            *(f"{name}: {value}" for name, value in self.headers),
            *([] if self.status == HTTPStatus.NO_CONTENT else [f"Content-Length: {length}"]),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


class _Answering(Handler):
    """Send answers, whole or not."""

    def body(self) -> bytes:
        return b"".join(self.body_pieces())

    def send(self, answer: _Answer, *, share: float = 1.0, ending: Ending = "goes on") -> None:
        """Send `share` of the answer's bytes, and then go on, close or reset the connection, or leave it silent."""
        content = answer.head() + answer.content
        self.wfile.write(content[: round(len(content) * share)])
        self.wfile.flush()
        if ending == "stall":
            self.wait_for_the_client()
        if ending == "reset":
            self.reset()
        self.close_connection = self.close_connection or ending != "goes on"

    def reset(self) -> NoReturn:
        """End the connection with a reset instead of in order, and the handler with it."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The socket is closed when its files are, and not by a shutdown, which would be an end in order.
        self.rfile.close()
        self.wfile.close()
        self.connection.close()
        raise ConnectionResetError

    def wait_for_the_client(self) -> None:
        """Wait until the client, or the end of the proxy, ends the connection; what still comes stays unread."""
        waiting = select.poll()
        waiting.register(self.connection, select.POLLRDHUP)
        waiting.poll()
        self.close_connection = True


class _Faulty(_Answering):
    """Pass a request on, unless the plan has something else in mind."""

    owner: "FaultyProxy"

    def answer(self) -> None:
        authorized = "Authorization" in self.headers
        fault = self.owner.plan.choose(self.command, self.path, authorized=authorized)
        if fault is None:
            self.send(self.forward(self.body()))
            return
        self.owner.note(Injected(fault, self.command, self.path))
        self._inject(fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # http.server's names  # noqa: N815 - http.server's names

    def _inject(self, fault: Fault) -> None:
        match fault.kind:
            case Kind.RESET_REQUEST:
                self._forward_a_part(fault.at)
                self.reset()
            case Kind.STALL_REQUEST:
                self._forward_a_part(fault.at)
                self.wait_for_the_client()
            case Kind.REFUSED | Kind.LIMITED:
                self.body()
                self.send(_denial(fault, self.command))
            case Kind.REDIRECTED:
                location = self.owner.elsewhere.take(self.path, self.forward(self.body()))
                self.send(_Answer(HTTPStatus.TEMPORARY_REDIRECT, (("Location", location),)))
            case Kind.EXPIRED_TOKEN:
                self.body()
                self.send(self.forward(b"", dropped="authorization"))
            case Kind.LOST_SESSION:
                self.owner.cancel(self.path, dict(self.headers))
                self.send(self.forward(self.body()))
            case Kind.FLIPPED_REQUEST:
                self.send(self.forward(flip(self.body(), fault.at)))
            case _:
                self._spoil(fault, self.forward(self.body()))

    def forward(self, body: bytes, *, dropped: str = "", declared: int | None = None) -> _Answer:
        """Ask the registry, without the header `dropped`; one that gets less than `declared` bytes is left alone."""
        upstream = http.client.HTTPConnection(self.owner.upstream, timeout=_UPSTREAM_TIMEOUT)
        try:
            upstream.putrequest(self.command, self.path, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _OF_ONE_HOP | {dropped}:
                    upstream.putheader(name, value)
            if self.command not in {"GET", "HEAD"}:
                upstream.putheader("Content-Length", str(len(body) if declared is None else declared))
            upstream.endheaders(body)
            if declared is not None:
                return _Answer(HTTPStatus.NO_CONTENT, ())
            answer = upstream.getresponse()
            return self._taken(answer, answer.read())
        finally:
            upstream.close()

    def _taken(self, answer: http.client.HTTPResponse, content: bytes) -> _Answer:
        headers = tuple(
            (name, self._stay(value) if name.lower() == "location" else value)
            for name, value in answer.getheaders()
            if name.lower() not in _OF_ONE_HOP
        )
        declared = answer.getheader("Content-Length") if self.command == "HEAD" else None
        return _Answer(answer.status, headers, content, declared)

    def _stay(self, location: str) -> str:
        return location.replace(f"http://{self.owner.upstream}", self.owner.url, 1)

    def _forward_a_part(self, share: float) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        part = self.rfile.read(int(length * share))
        if 0 < len(part) < length:
            self.forward(part, declared=length)

    def _spoil(self, fault: Fault, answer: _Answer) -> None:
        content, place = answer.content, int(len(answer.content) * fault.at)
        match fault.kind:
            case Kind.RESET_ANSWER:
                self.send(answer, share=fault.at, ending="reset")
            case Kind.STALL_ANSWER:
                self.send(answer, share=fault.at, ending="stall")
            case Kind.DENIED:
                self.send(_denial(fault, self.command))
            case Kind.CUT:
                self.send(replace(answer, content=content[:place], declared=str(len(content))), ending="close")
            case Kind.TRUNCATED:
                self.send(replace(answer, content=content[:place]))
            case Kind.LONGER:
                self.send(replace(answer, content=content + b"more", declared=str(len(content))))
            case Kind.GROWN:
                self.send(replace(answer, content=content + b"more"))
            case Kind.FLIPPED:
                self.send(replace(answer, content=flip(content, fault.at)))
            case _:
                raise NotImplementedError(fault.kind)


class _Stored(_Answering):
    """Send an answer that the registry gave before, to whoever asks."""

    owner: "Elsewhere"

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        self.owner.authorizations.append(self.headers.get("Authorization"))
        self.send(self.owner.answers[self.path])


class Elsewhere(LoopbackServer):
    """Be the other host of redirects; `authorizations` lists what credentials came along, if any, else None."""

    handler = _Stored

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, _Answer] = {}
        self.authorizations: list[str | None] = []

    def take(self, path: str, answer: _Answer) -> str:
        """Keep an answer, and return the URL where it is to be had from now on."""
        self.answers[path] = answer
        return f"{self.url}{path}"


class FaultyProxy(LoopbackServer):
    """Stand before the registry at `upstream` (`host:port`, plain HTTP) and do what the plan says."""

    handler = _Faulty

    def __init__(self, upstream: str, plan: Plan) -> None:
        super().__init__()
        self.upstream = upstream
        self.plan = plan
        self.elsewhere = Elsewhere()
        self._injected: list[Injected] = []
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        self.elsewhere.__enter__()
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self.elsewhere.__exit__(kind, error, trace)

    @property
    def injected(self) -> list[Injected]:
        """Return the faults so far, oldest first."""
        with self._guard:
            return list(self._injected)

    def story(self) -> str:
        """Return the plan and what came of it, for the message of a test that fails."""
        return "\n".join([f"{self.plan}, injected:", *map(str, self.injected)])

    def note(self, injected: Injected) -> None:
        with self._guard:
            self._injected.append(injected)

    def cancel(self, target: str, headers: Mapping[str, str]) -> None:
        """Cancel an upload session, in the name of the client that has sent these headers."""
        kept = {name: value for name, value in headers.items() if name.lower() == "authorization"}
        upstream = http.client.HTTPConnection(self.upstream, timeout=_UPSTREAM_TIMEOUT)
        try:
            upstream.request("DELETE", target, headers=kept)
            upstream.getresponse().read()
        finally:
            upstream.close()


def flip(content: bytes, at: float) -> bytes:
    """Return the content with one byte changed, the one at the share `at`; empty content stays as it is."""
    place = min(int(len(content) * at), len(content) - 1)
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :] if content else content


def _denial(fault: Fault, method: str) -> _Answer:
    limited = fault.kind is Kind.LIMITED
    page = limited and fault.retry_after == "html"
    content = _PAGE if page else _DENIALS[Kind.LIMITED if limited else Kind.REFUSED]
    headers = [("Content-Type", "text/html" if page else "application/json")]
    if limited and fault.retry_after == "seconds":
        headers.append(("Retry-After", str(fault.seconds)))
    if limited and fault.retry_after == "date":
        headers.append(("Retry-After", formatdate(time() + fault.seconds, usegmt=True)))
    status = HTTPStatus.TOO_MANY_REQUESTS if limited else fault.status
    answer = _Answer(status, tuple(headers), content)
    return replace(answer, content=b"", declared=str(len(content))) if method == "HEAD" else answer


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
