"""Signatures of the messages that this process sends."""

import time
from typing import Any

from celery import Celery
from celery.app.amqp import AMQP, task_message
from kombu.serialization import dumps

from tasks.celery_glue.signature import HEADER, Signer


class SigningAMQP(AMQP):
    """Celery's message factory, which signs each message if `sign_with` was called for its application."""

    signer: Signer | None = None

    def as_task_v2(self, task_id: str, name: str, *args: Any, **options: Any) -> task_message:
        """Return the message of a task, with the signature among its headers."""
        made = super().as_task_v2(task_id, name, *args, **options)
        if self.signer is not None:
            # The same bytes that kombu sends: it encodes the body in the same way.
            content = dumps(made.body, serializer=self.app.conf.task_serializer)[2]
            body = str(content).encode()
            made.headers[HEADER] = self.signer.header(name, task_id, body, time.time())
        return made


def sign_with(app: Celery, signer: Signer | None) -> None:
    """Sign all messages of this application; the signer is kept out of the configuration, which monitors can read."""
    amqp: Any = app.amqp
    amqp.signer = signer
