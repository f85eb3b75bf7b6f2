"""Send a push by its name, with Celery alone, and print its report: producer.py REQUEST.json.

BROKER_URL         the workers' broker, redis:// or amqp://
RESULT_URL         the Redis of the workers' results; by default BROKER_URL
PRODUCER           the name by which the workers know this producer, if they ask for signatures
PRODUCER_KEY_FILE  its key

It ends with 0 if all tags moved, with 1 if some did not, with 2 if there is no report: the request was refused.
"""

import hmac
import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from celery import Celery
from celery.result import AsyncResult
from kombu.serialization import dumps

TASK = "imagepusher.push.v1"
QUEUE = "imagepusher.push"
PREFIX = {"global_keyprefix": "imagepusher:"}
WAIT_SECONDS = 3600


def connect(broker: str) -> Celery:
    """Return a Celery application that reaches the workers."""
    app = Celery(broker=broker, backend=os.environ.get("RESULT_URL", broker))
    app.conf.result_backend_transport_options = PREFIX
    if not broker.startswith("amqp"):
        app.conf.broker_transport_options = PREFIX
    return app


def signed(request: dict[str, Any], task_id: str) -> dict[str, str]:
    """Return the header that tells who sends the push; none where workers ask for none."""
    if "PRODUCER" not in os.environ:
        return {}
    # What Celery is about to send, to the letter.
    options = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    body = dumps(([request], {}, options), serializer="json")[2]
    key = Path(os.environ["PRODUCER_KEY_FILE"]).read_bytes().strip()
    now = int(time.time())
    digest = hmac.new(key, f"{now}\n{TASK}\n{task_id}\n{body}".encode(), "sha256").hexdigest()
    return {"imagepusher_signature": f"{os.environ['PRODUCER']}:{now}:{digest}"}


def send(request: dict[str, Any]) -> AsyncResult:
    """Send a push; its id is that of the task."""
    broker, task_id = os.environ["BROKER_URL"], str(uuid.uuid4())
    place = {"exchange": "imagepusher", "routing_key": QUEUE} if broker.startswith("amqp") else {"queue": QUEUE}
    headers = signed(request, task_id)
    return connect(broker).send_task(TASK, args=[request], task_id=task_id, headers=headers, **place)


def main(path: str) -> int:
    """Send the request in a file, wait, and return the exit code."""
    found = send(json.loads(Path(path).read_text())).get(propagate=False, timeout=WAIT_SECONDS)
    # Of a push that failed the result is an exception: its arguments are a summary and the report.
    if isinstance(found, Exception):
        if type(found).__name__ != "PushFailed":
            print(found, file=sys.stderr)
            return 2
        found = found.args[1]
    print(json.dumps(found))
    return 0 if found["state"] == "succeeded" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
