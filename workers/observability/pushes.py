"""Log lines for the start, end and error of a push, under the names that operators of pubtools-quay search for."""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from celery import Task
from celery.signals import task_failure, task_prerun, task_success

from tasks import contract
from tasks.errors import ImagePusherError, PushFailed

LOG: Final = logging.getLogger(__name__)

START: Final = "push-images-to-quay-start"
END: Final = "push-images-to-quay-end"
ERROR: Final = "push-images-to-quay-error"

_ENDING: Final = frozenset({contract.PUSH_TASK, contract.PUBLISH_TASK})


def log_pushes() -> None:
    """Log the start and end of each push that this process works on; call `surround_tasks` first."""
    task_prerun.connect(_started, weak=False)
    task_success.connect(_succeeded, weak=False)
    task_failure.connect(_failed, weak=False)


def log_ended_push(report: Mapping[str, Any]) -> None:
    """Log the success of a push; the watchdog calls this function if no task of the push completed."""
    LOG.info(END, extra=_described(report))


def log_failed_push(error: BaseException) -> None:
    """Log the failure of a push and its cause; the watchdog calls this function if no task of the push completed."""
    report = error.report if isinstance(error, PushFailed) else {}
    code = error.code if isinstance(error, ImagePusherError) else ImagePusherError.code
    LOG.error(ERROR, extra={"code": code, "error": str(error), **_described(report)})


def _started(task: Task[Any, Any], **_: Any) -> None:
    if task.name == contract.PUSH_TASK and not task.request.retries:
        LOG.info(START)


def _succeeded(sender: Task[Any, Any], result: Any, **_: Any) -> None:
    if sender.name in _ENDING and isinstance(result, Mapping):
        log_ended_push(result)


def _failed(sender: Task[Any, Any], exception: BaseException, **_: Any) -> None:
    if sender.name in _ENDING:
        log_failed_push(exception)


def _described(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a log line: the state, the number of tags by outcome, and the totals."""
    if not report:
        return {}
    actions = Counter(tag["action"] for item in report["items"] for tag in item["tags"])
    known = {"producer": report["producer"]} if report.get("producer") else {}
    return {"state": report["state"], **known, "tags": dict(actions), **report["totals"]}
