"""The message of a push at a worker: its producer may be a program without Celery."""

import logging
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any, Final
from weakref import WeakKeyDictionary

from celery import Celery, Task, states
from celery.exceptions import InvalidTaskError, TaskRevokedError
from celery.worker import state
from celery.worker.request import Request
from celery.worker.strategy import default

from tasks import telemetry
from tasks.celery_glue import runtime
from tasks.celery_glue.admission import Admission, Admitted, NotTaken
from tasks.celery_glue.display import describe_push
from tasks.celery_glue.ownership import check_ownership
from tasks.errors import ImagePusherError, NotPermitted, RequestInvalid, StateUnavailable
from tasks.transfer.request.policy import WORKERS

LOG: Final = logging.getLogger(__name__)

# The signer of the message, for its task: set by the worker that took the message; a sender's own value is ignored.
SENDER: Final = "imagepusher_sender"

_STRATEGY: Final = "tasks.celery_glue.message:strategy"
_admissions: Final[WeakKeyDictionary[Any, Admission]] = WeakKeyDictionary()


def guard(app: Celery, admission: Admission) -> None:
    """Make the worker of an application take only messages that `admission` admits, and none for Celery's own tasks."""
    _admissions[app] = admission
    for task in app.tasks.values():
        task.Strategy = _STRATEGY


def refuse(app: Celery, task_id: object, refused: NotTaken) -> None:
    """Store the refusal of a message as its result, for which the producer may wait.

    The result of a push, or of a task that has one already, is not replaced: a message may bear any id.
    """
    telemetry.count(telemetry.REQUESTS_REFUSED, reason=telemetry.MALFORMED)
    if not refused.answers or not isinstance(task_id, str):
        return
    with suppress(StateUnavailable):
        if runtime.of_app(app).ledger.is_open(task_id) or app.AsyncResult(task_id).state != states.PENDING:
            return
        if refused.spent:
            app.backend.store_result(task_id, TaskRevokedError("revoked"), states.REVOKED)
        else:
            app.backend.store_result(task_id, _told(refused), states.FAILURE)


def _told(refused: NotTaken) -> ImagePusherError:
    said = f"The message cannot be taken: {refused}."
    return (
        NotPermitted(said)
        if refused.unsigned
        else RequestInvalid(f"{said} Its body must be [[request], {{}}, {{}}] in JSON.")
    )


def sender_of(task: Task[Any, Any]) -> str | None:
    """Return the signer of the running task's message: a producer, "workers", or None if it is unsigned."""
    found = getattr(task.request, SENDER, None)
    return found if isinstance(found, str) else None


def strategy(task: Task[Any, Any], app: Celery, consumer: Any, **options: Any) -> Callable[..., Any]:
    """Return a Celery strategy that takes the admitted messages of a task and refuses the others."""
    take = default(task, app, consumer, **options)
    admission = _admissions.get(app)

    def take_admitted(message: Any, *arguments: Any, **more: Any) -> Any:
        headers = message.headers if isinstance(message.headers, dict) else {}
        reserved = set(state.reserved_requests)
        try:
            # A worker without an admission is embedded: no other program can send to it.
            if admission is None:
                message.headers = {**headers, SENDER: WORKERS}
            else:
                admitted = _admitted(admission, app, message)
                message.headers = {**admitted.headers, SENDER: admitted.sender}
            return take(message, *arguments, **more)
        except NotTaken as error:
            refused = error
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            refused = NotTaken(f"Celery cannot read its headers ({type(error).__name__})")
            _let_go(reserved)
        LOG.error("A message is refused: %s.", refused)
        refuse(app, headers.get("id"), refused)
        raise InvalidTaskError(str(refused))

    return take_admitted


def _let_go(before: AbstractSet[Any]) -> None:
    """Free the place of the worker that Celery reserved for a request it then could not begin."""
    for request in set(state.reserved_requests) - before:
        state.task_ready(request)


def _admitted(admission: Admission, app: Celery, message: Any) -> Admitted:
    body = message.body.encode() if isinstance(message.body, str) else bytes(message.body or b"")
    admitted = admission.admit(message.headers, body, lambda: message.payload)
    # If the ledger does not serve, the task itself waits for it.
    with suppress(StateUnavailable):
        check_ownership(admitted, runtime.of_app(app).ledger)
    return admitted


class PushMessage(Request):
    """The message of a push; monitors see its short form, whatever description its producer sent."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        request = self.args[0] if self.args else (self.kwargs or {}).get("request")
        self._argsrepr, self._kwargsrepr = describe_push(request), "{}"
        # Retries and logs take the short form from here.
        self.request_dict.update(argsrepr=self._argsrepr, kwargsrepr=self._kwargsrepr)

    def info(self, safe: bool = False) -> Any:  # noqa: FBT001, FBT002 - Celery's signature
        """Return the information for remote control: never the request itself, even if it is asked for."""
        del safe
        return super().info(safe=True)
