"""Writing an answer to a connection."""

from http import HTTPStatus

from tests.support.loopback import Handler
from tests.support.scripted import Answer

_WITHOUT_LENGTH = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


def send(handler: Handler, answer: Answer, *, interim: tuple[int, ...] = ()) -> None:
    """Send an answer whose body is bytes, after 1xx answers; a HEAD gets the headers of its GET."""
    assert isinstance(answer.body, bytes)
    for status in interim:
        handler.send_response_only(status)
        handler.end_headers()
    handler.send_response(answer.status)
    pairs = answer.headers.items() if hasattr(answer.headers, "items") else answer.headers
    for name, value in pairs:
        handler.send_header(name, value)
    if answer.status not in _WITHOUT_LENGTH:
        handler.send_header("Content-Length", str(len(answer.body)))
    if handler.close_connection:
        handler.send_header("Connection", "close")
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(answer.body)
    handler.wfile.flush()
