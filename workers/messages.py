"""What a message says, as it lies in a queue on Redis (Celery's task protocol)."""

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kombu.compression import decompress
from kombu.serialization import loads

_JSON: Final = "application/json"


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
        headers = message["headers"]
        eta = headers.get("eta")
        return TaskMessage(
            headers["task"],
            str(headers["id"]),
            payload_of(message)[0],
            datetime.fromisoformat(eta).timestamp() if eta else 0.0,
        )
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        return None


def payload_of(message: Any) -> Any:
    """Return what a message carries, decoded as kombu does; raises ValueError for what kombu cannot decode."""
    try:
        body, encoding = message["body"], message["properties"].get("body_encoding")
        if encoding is not None:
            body = {"base64": base64.b64decode}[encoding](body)
        content = body.encode() if isinstance(body, str) else body
        compression = (message.get("headers") or {}).get("compression")
        if compression:
            content = decompress(content, compression)
        return loads(content, message["content-type"], message["content-encoding"], accept={_JSON})
    except Exception as error:  # noqa: BLE001 - anyone may have written it, and kombu's decoders raise what they like
        raise ValueError(f"it cannot be decoded ({type(error).__name__})") from None
