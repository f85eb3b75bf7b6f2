"""Messages in the queues on Redis (Celery's task protocol)."""

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kombu.serialization import loads

_JSON: Final = "application/json"
_LONGEST_KEY: Final = 255
# What kombu decodes a body from; any other ends it.
_ENCODINGS: Final = (None, "base64")


class UndecodableError(ValueError):
    """The payload of a message cannot be decoded."""


@dataclass(frozen=True)
class TaskMessage:
    """A task with its id, its arguments and its due time (seconds since the epoch)."""

    task: str
    task_id: str
    arguments: Any
    due: float


def read_message(message: Any) -> TaskMessage | None:
    """Return the task of a message; None if Celery could not read it either, or if its protocol is older."""
    try:
        return task_of(message["headers"], payload_of(message))
    except (KeyError, TypeError, ValueError):
        return None


def task_of(headers: Any, payload: Any) -> TaskMessage | None:
    """Return the task of a message with this payload; None as in `read_message`."""
    try:
        eta = headers.get("eta")
        due = datetime.fromisoformat(eta).timestamp() if eta else 0.0
        return TaskMessage(headers["task"], str(headers["id"]), payload[0], due)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        return None


def is_envelope(message: object) -> bool:
    """Tell whether a JSON value has the parts of a message that kombu and Celery read before its body."""
    match message:
        case {"body": str(), "properties": {"delivery_tag": str(tag), **rest}, **more}:
            delivery, headers = rest.get("delivery_info", {}), more.get("headers")
            is_plain = isinstance(delivery, dict) and all(map(_is_plain, delivery.values()))
            is_encoded = rest.get("body_encoding") in _ENCODINGS
            return is_plain and is_encoded and _is_plain(tag) and isinstance(headers, dict | None)
    return False


def _is_plain(value: object) -> bool:
    """Tell whether a value is a number, or a text that can be a key: a lone surrogate is valid JSON, and ends kombu."""
    if not isinstance(value, str):
        return isinstance(value, int)
    try:
        return len(value.encode()) <= _LONGEST_KEY
    except UnicodeEncodeError:
        return False


def payload_of(message: Any) -> Any:
    """Return the payload of a message, decoded as kombu does; raises UndecodableError."""
    return decode(message, content_of(message))


def content_of(message: Any) -> bytes:
    """Return the body of a message as it was sent; raises UndecodableError."""
    try:
        body, encoding = message["body"], message["properties"].get("body_encoding")
        if encoding is not None:
            body = {"base64": base64.b64decode}[encoding](body)
        return body.encode() if isinstance(body, str) else bytes(memoryview(body))
    except Exception as error:  # noqa: BLE001 - anyone may have sent it
        raise _undecodable(error) from None


def decode(message: Any, content: bytes) -> Any:
    """Return the decoded body of a message; raises UndecodableError if kombu cannot decode it."""
    try:
        return loads(content, message["content-type"], message["content-encoding"], accept={_JSON})
    except Exception as error:  # noqa: BLE001 - anyone may have sent it, and kombu's decoders raise any error
        raise _undecodable(error) from None


def _undecodable(error: Exception) -> UndecodableError:
    return UndecodableError(f"it cannot be decoded ({type(error).__name__})")
