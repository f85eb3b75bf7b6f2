"""Messages that this process signs as it sends them."""

from typing import Any

from celery import Celery
from celery.app.amqp import AMQP, task_message
from kombu.serialization import dumps

from tasks.celery_glue.signature import HEADER, Signer


class SigningAMQP(AMQP):
    """Celery's maker of messages, which signs each one where `sign_with` was called for its application."""

    signer: Signer | None = None

    def as_task_v2(self, task_id: str, name: str, *args: Any, **options: Any) -> task_message:
        """Return the message of a task, with the signature beside its headers."""
        made = super().as_task_v2(task_id, name, *args, **options)
        if self.signer is not None:
            # The bytes that kombu sends: it encodes the same body in the same way.
            content = dumps(made.body, serializer=self.app.conf.task_serializer)[2]
            body = str(content).encode()
            made.headers[HEADER] = self.signer.header(name, task_id, body)
        return made


def sign_with(app: Celery, signer: Signer | None) -> None:
    """Let everything that this application sends be signed; it is not part of the configuration, which monitors see."""
    amqp: Any = app.amqp
    amqp.signer = signer
