"""What a message of ours says, as it lies in a queue on Redis (Celery's task protocol, version 2)."""

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class TaskMessage:
    """A task, its id and arguments, and when it is due, in seconds since the epoch."""

    task: str
    task_id: str
    arguments: Any
    due: float


def read_message(message: Any) -> TaskMessage | None:
    """Return what a message says, None for one that Celery could not read either."""
    try:
        headers, body = message["headers"], message["body"]
        encoded = message["properties"].get("body_encoding") == "base64"
        eta = headers.get("eta")
        return TaskMessage(
            headers["task"],
            str(headers["id"]),
            json.loads(base64.b64decode(body) if encoded else body)[0],
            datetime.fromisoformat(eta).timestamp() if eta else 0.0,
        )
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        return None
