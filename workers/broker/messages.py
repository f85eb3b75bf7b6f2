"""What a message says, as it lies in a queue on Redis (Celery's task protocol)."""

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kombu.serialization import loads

_JSON: Final = "application/json"


class UndecodableError(ValueError):
    """What a message carries cannot be decoded."""


@dataclass(frozen=True)
class TaskMessage:
    """A task, its id and arguments, and when it is due, in seconds since the epoch."""

    task: str
    task_id: str
    arguments: Any
    due: float


def read_message(message: Any) -> TaskMessage | None:
    """Return what a message says, None for one that Celery could not read either, or of an older protocol."""
    try:
        return task_of(message["headers"], payload_of(message))
    except (KeyError, TypeError, ValueError):
        return None


def task_of(headers: Any, payload: Any) -> TaskMessage | None:
    """Return what a message with this payload says, as `read_message` does."""
    try:
        eta = headers.get("eta")
        due = datetime.fromisoformat(eta).timestamp() if eta else 0.0
        return TaskMessage(headers["task"], str(headers["id"]), payload[0], due)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        return None


def is_envelope(message: object) -> bool:
    """Tell whether JSON has the form of a message, as far as kombu and Celery rely on it before they read its body."""
    match message:
        case {"body": _, "properties": {"delivery_tag": str(), **rest}, **more}:
            delivery, headers = rest.get("delivery_info", {}), more.get("headers")
            plain = isinstance(delivery, dict) and all(isinstance(value, str | int) for value in delivery.values())
            return plain and isinstance(headers, dict | None)
    return False


def payload_of(message: Any) -> Any:
    """Return what a message carries, decoded as kombu does; raises UndecodableError for what it cannot."""
    return decode(message, content_of(message))


def content_of(message: Any) -> bytes:
    """Return the body of a message as it was sent; raises UndecodableError for what is none."""
    try:
        body, encoding = message["body"], message["properties"].get("body_encoding")
        if encoding is not None:
            body = {"base64": base64.b64decode}[encoding](body)
        return body.encode() if isinstance(body, str) else bytes(memoryview(body))
    except Exception as error:  # noqa: BLE001 - anyone may have written it
        raise _undecodable(error) from None


def decode(message: Any, content: bytes) -> Any:
    """Return what the body of a message says; raises UndecodableError for what kombu cannot decode."""
    try:
        return loads(content, message["content-type"], message["content-encoding"], accept={_JSON})
    except Exception as error:  # noqa: BLE001 - anyone may have written it, and kombu's decoders raise what they like
        raise _undecodable(error) from None


def _undecodable(error: Exception) -> UndecodableError:
    return UndecodableError(f"it cannot be decoded ({type(error).__name__})")
