"""Heads of answers: interim ones are skipped, and no registry takes as long as it likes (BEHAVIOUR 8.4)."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tasks.registry.http.connections import Connections
from tasks.registry.http.message_faults import AnswerMalformed
from tasks.registry.http.response_stream import Arriving
from tasks.registry.http.retry import Transient
from tasks.registry.http.visited_socket import Patience
from tasks.registry.settings import HttpLimits, RegistrySettings
from tests.support.profiles import profiles
from tests.support.profiles.server import ProfileRegistry
from tests.unit.registry.clients import NAME, client

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
LIMITS = HttpLimits(connect_timeout=5, idle_timeout=0.5)


@contextmanager
def serving(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[Connections]:
    """Yield what speaks to a server that lets `answer` have each of its connections."""
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    answer(connection, stopped)
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield Connections(f"127.0.0.1:{listener.getsockname()[1]}", RegistrySettings(), LIMITS)
        finally:
            stopped.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def get(subject: Connections, wait: float | None = None) -> bytes:
    patience = None if wait is None else Patience(wait)
    return subject.exchange("GET", f"http://{subject._host}/", {}, patience=patience).read(100, 5)


@pytest.mark.parametrize("interim", [b"100 Continue", b"102 Processing", b"103 Early Hints\r\nLink: </x>; rel=next"])
def test_interim_answers_are_skipped_and_the_connection_stays_in_step(interim: bytes) -> None:
    def answer(connection: socket.socket, _: threading.Event) -> None:
        for content in (b"a1", b"b2"):
            connection.recv(10_000)
            connection.sendall((b"HTTP/1.1 " + interim + b"\r\n\r\n") * 3 + ANSWER + content)

    with serving(answer) as subject:
        assert [get(subject), get(subject)] == [b"a1", b"b2"]


def test_interim_answers_without_end_are_given_up() -> None:
    def answer(connection: socket.socket, _: threading.Event) -> None:
        connection.recv(10_000)
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    with serving(answer) as subject, pytest.raises(Transient):
        get(subject)


def test_a_head_that_drips_has_a_deadline() -> None:
    def answer(connection: socket.socket, stopped: threading.Event) -> None:
        connection.recv(10_000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not stopped.wait(0.1):
            connection.sendall(b"x")

    with serving(answer) as subject, pytest.raises(Transient, match="within the time allowed"):
        get(subject)


def test_an_answer_that_is_long_awaited_may_come_later_than_others() -> None:
    """5.3: that of a commit."""

    def answer(connection: socket.socket, stopped: threading.Event) -> None:
        connection.recv(10_000)
        stopped.wait(1)
        connection.sendall(ANSWER + b"ok")

    with serving(answer) as subject:
        assert get(subject, wait=30) == b"ok"
        with pytest.raises(Transient):
            get(subject)


@pytest.mark.parametrize(
    ("head", "content"),
    [
        (b"Content-Length: 2\r\nContent-Length: 3", None),
        (b"Content-Length: 2, 3", None),
        (b"Content-Length: 3", None),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 7", None),
        (b"Content-Length: 2\r\nContent-Length: 2", b"ab"),
        (b"Content-Length: x", b"ab"),
        (b"Date: x", b"ab"),
    ],
)
def test_content_ends_where_its_head_says_or_is_none(head: bytes, content: bytes | None) -> None:
    """RFC 9112, 6.3: the server closes the connection after two bytes."""

    def answer(connection: socket.socket, _: threading.Event) -> None:
        connection.recv(10_000)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\nab")

    with serving(answer) as subject:
        if content is None:
            with pytest.raises(Transient, match="the connection was lost"):
                get(subject)
        else:
            assert get(subject) == content


@pytest.mark.parametrize(
    ("head", "connections"),
    [
        (b"HTTP/1.1 200 OK", 1),
        (b"HTTP/1.1 200 OK\r\nConnection: close", 2),
        (b"HTTP/1.0 200 OK", 2),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive", 1),
        (b"HTTP/1.1 204 No Content", 1),
    ],
)
def test_a_connection_lasts_as_long_as_its_answers_say(head: bytes, connections: int) -> None:
    """RFC 9112, 9.3."""
    opened: list[socket.socket] = []

    def answer(connection: socket.socket, _: threading.Event) -> None:
        opened.append(connection)
        content = b"" if b" 204 " in head else b"ok"
        while connection.recv(10_000):
            connection.sendall(head + b"\r\nContent-Length: 2\r\n\r\n" + content)

    with serving(answer) as subject:
        assert get(subject) == get(subject) == (b"" if b" 204 " in head else b"ok")
        subject.close()
    assert len(opened) == connections


def test_a_refusal_counts_also_if_it_comes_before_the_whole_request_is_sent() -> None:
    """Whoever refuses a layer for its size does not wait for its end."""

    def answer(connection: socket.socket, _: threading.Event) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")

    with serving(answer) as subject:
        refused = subject.exchange("PUT", f"http://{subject._host}/", {}, b"x" * 20_000_000)
        assert (refused.status, refused.read(100, 5)) == (413, b"no")
        # Its connection serves no other request.
        assert subject.exchange("GET", f"http://{subject._host}/", {}).status == 413


def test_a_registry_may_chat() -> None:
    """Through the whole client."""
    with ProfileRegistry(replace(profiles.CHATTY, interim=(102, 103, 100))) as registry:
        registry.store.create(NAME)
        assert client(registry.host).resolve("latest") is None


@pytest.mark.parametrize(
    "start", [b"1;", b"1\r\nx\r\n0\r\nX-Trailer: "], ids=["the size of a chunk", "a field behind the last chunk"]
)
def test_what_drips_between_chunks_has_a_deadline(start: bytes) -> None:
    """Each byte of it comes in time, and none of it is content."""

    def answer(connection: socket.socket, stopped: threading.Event) -> None:
        connection.recv(10_000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + start)
        while not stopped.wait(0.05):
            connection.sendall(b"x")

    with serving(answer) as subject:
        with pytest.raises(Transient, match=r"took longer than 0\.2 seconds"):
            subject.exchange("GET", f"http://{subject._host}/", {}).read(100, 0.2)
        # A blob may take as long as it likes, but not without a byte of it.
        blob = subject.exchange("GET", f"http://{subject._host}/", {})
        with pytest.raises(Transient, match="within the time allowed"):
            list(iter(lambda: bytes(blob.receive(100)), b""))
        blob.close()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"HTTP/1.1 200 OK", "OK"),
        (b"HTTP/1.1 200", ""),
        (b"HTTP/1.1  200  All  is well ", "All  is well"),
        (b"HTTP/1.1\t200\tOK", "OK"),
        (b"HTTP/1.1 200 " + b" " * 60_000 + b"x", "x"),
    ],
)
def test_a_status_line_is_read_with_any_spaces(line: bytes, reason: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(line + b"\r\nContent-Length: 0\r\n\r\n")
        answer = Arriving(ours, "GET")
        answer.begin()
    assert (answer.status, answer.reason) == (200, reason)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HTTP/1.1",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 099 OK",
        b"HTTP/1.1 2x0 OK",
        b" HTTP/1.1 200 OK",
        b"SSH-2.0-OpenSSH_9.2",
        b"HTTP/1.1 200" + b" " * 70_000,
    ],
)
def test_a_line_that_is_no_status_line_is_no_answer(line: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(line + b"\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(AnswerMalformed):
            Arriving(ours, "GET").begin()
