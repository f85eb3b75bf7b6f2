"""Context managers around each running task: the fields of its log lines, and others."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from contextvars import ContextVar
from typing import Any, Final

from celery import Task
from celery.signals import task_postrun, task_prerun

from tasks import contract, telemetry
from tasks.celery_glue.message import sender_of
from tasks.transfer.request.policy import WORKERS

Around = Callable[[Any], AbstractContextManager[Any]]

_running: Final[ContextVar[ExitStack]] = ContextVar("running")


def surround_tasks(*around: Around) -> None:
    """Enter these context managers, created from the task, before each task of this process; exit them after it."""

    def enter(task: Task[Any, Any], **_: Any) -> None:
        stack = ExitStack()
        # Celery sends a task's signals in the thread that runs it: they share its context.
        stack.callback(_running.reset, _running.set(stack))
        for make in around:
            stack.enter_context(make(task))

    def leave(**_: Any) -> None:
        stack = _running.get(None)
        if stack is not None:
            stack.close()

    task_prerun.connect(enter, weak=False)
    task_postrun.connect(leave, weak=False)


def log_context(task: Any) -> AbstractContextManager[None]:
    """Add the push and digest of a task to all its log lines, including Celery's."""
    request, producer = task.request, sender_of(task)
    known = {} if producer in {None, WORKERS} else {"producer": producer}
    return telemetry.context(**fields_of(task.name, request.id, request.args or (), request.kwargs or {}), **known)


def fields_of(task: str, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, str]:
    """Return the push and digest of a task; the arguments may be malformed, since anyone can send them."""
    match task, list(args) or list(kwargs.values()):
        case contract.PUSH_TASK, [{"push_id": str(push_id)}, *_] if push_id:
            return {"push_id": push_id}
        case contract.PUSH_TASK, _:
            return {"push_id": task_id}
        case ((contract.COPY_TASK | contract.PUBLISH_TASK | contract.VERIFY_TASK | contract.UNDO_TASK), [str(push_id)]):
            return {"push_id": push_id}
        case contract.COPY_TASK, [str(push_id), str(digest)]:
            return {"push_id": push_id, "digest": digest}
        case _:
            return {}
