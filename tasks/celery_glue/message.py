"""A push as a worker receives it: its producer may be a program that does not know Celery."""

from collections.abc import Callable
from typing import Any, Final

from celery import Celery, Task, states
from celery.exceptions import InvalidTaskError
from celery.worker.request import Request
from celery.worker.strategy import default

from tasks import telemetry
from tasks.celery_glue.display import describe_push
from tasks.errors import RequestInvalid

NO_CALL: Final = "its body is not [arguments, keyword arguments, options]"


def is_call(payload: object) -> bool:
    """Tell whether a message carries arguments as Celery's protocols want them: anything else would end a worker."""
    match payload:
        case [list(), dict(), dict() | None] | {"args": list(), "kwargs": dict()}:
            return True
    return False


def refuse(app: Celery, task_id: object, why: str = NO_CALL) -> None:
    """Let the producer, who may wait for the result, know that nobody can take its message."""
    telemetry.count(telemetry.REQUESTS_REFUSED, reason=telemetry.MALFORMED)
    if isinstance(task_id, str):
        said = f"The message cannot be taken: {why}. Its body must be [[request], {{}}, {{}}] in JSON."
        app.backend.store_result(task_id, RequestInvalid(said), states.FAILURE)


def strategy(task: Task[Any, Any], app: Celery, consumer: Any, **options: Any) -> Callable[..., Any]:
    """Return what takes messages of a task as Celery's strategy does, and refuses what would end the worker."""
    take = default(task, app, consumer, **options)

    def take_calls(message: Any, *arguments: Any, **more: Any) -> Any:
        why = NO_CALL
        try:
            if is_call(message.payload):
                return take(message, *arguments, **more)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            why = f"Celery cannot read its headers ({type(error).__name__})"
        refuse(app, (message.headers or {}).get("id"), why)
        raise InvalidTaskError(why)

    return take_calls


class PushMessage(Request):
    """The message of a push, of which monitors see the short form, whatever its producer wrote beside it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        request = self.args[0] if self.args else (self.kwargs or {}).get("request")
        self._argsrepr, self._kwargsrepr = describe_push(request), "{}"
        # Retries and logs take it from here.
        self.request_dict.update(argsrepr=self._argsrepr, kwargsrepr=self._kwargsrepr)

    def info(self, safe: bool = False) -> Any:  # noqa: FBT001, FBT002 - Celery's signature
        """Return what remote control tells: never the request itself, even where it is asked for."""
        del safe
        return super().info(safe=True)
