"""The interfaces of pubtools-quay to other programs: its log events, its hook, and its HTTP client's exception."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from importlib import import_module
from typing import Any, Final

import requests

from tasks import contract
from tasks.errors import (
    AuthenticationRefused,
    NotFound,
    PushFailed,
    RateLimited,
    RegistryError,
    RegistryUnavailable,
    RequestRefused,
)

LOG: Final = logging.getLogger("pubtools.quay")
_WRITTEN: Final = frozenset({"copied", "merged", "unchanged"})
# The HTTP status for each error; the registry's answer is in the error's message.
_STATUS: Final[dict[type[RegistryError], HTTPStatus]] = {
    AuthenticationRefused: HTTPStatus.UNAUTHORIZED,
    NotFound: HTTPStatus.NOT_FOUND,
    RequestRefused: HTTPStatus.BAD_REQUEST,
    RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    RegistryUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


class RegistryPushFailed(PushFailed, requests.HTTPError):
    """A push that failed because of a registry's refusal; `response` has the status of the first error."""

    def __init__(self, message: str, report: dict[str, Any] | None = None, status: int = 0) -> None:
        super().__init__(message, report)
        self.request = None
        self.response = _response(status)


@contextmanager
def logged_step(name: str) -> Iterator[None]:
    """Log the start and the end of a step; the type in the record's `event` tells which."""
    _log(logging.INFO, name, "start")
    try:
        yield
    except Exception:
        _log(logging.ERROR, name, "error")
        raise
    _log(logging.INFO, name, "end")


def tell_tagged(report: contract.PushReport) -> None:
    """Call the hook `quay_images_tagged`, if pubtools is installed, for each source that was pushed."""
    try:
        plugins: Any = import_module("pubtools.pluggy").pm
    except ImportError:
        # pubtools is not one of our dependencies.
        return
    hook: Callable[..., Any] | None = getattr(plugins.hook, "quay_images_tagged", None)
    for item in report.items:
        tagged = sorted(tag.reference for tag in item.tags if tag.action in _WRITTEN)
        if tagged and hook is not None:
            hook(source_ref=item.source, dest_refs=tagged)


def failure(message: str, report: contract.PushReport, document: dict[str, Any]) -> PushFailed:
    """Return the error of a failed push: also a requests error if a registry refused a request."""
    errors = [error for item in report.items for error in (item.error, *(tag.error for tag in item.tags)) if error]
    statuses = {kind.code: status for kind, status in _STATUS.items()}
    status = next((statuses[error.code] for error in errors if error.code in statuses), None)
    return PushFailed(message, document) if status is None else RegistryPushFailed(message, document, status)


def http_error(error: RegistryError) -> requests.HTTPError:
    """Return an error in the form that callers of requests expect."""
    return requests.HTTPError(str(error), response=_response(_STATUS.get(type(error), HTTPStatus.BAD_GATEWAY)))


def _response(status: int) -> requests.Response:
    response = requests.Response()
    response.status_code = int(status)
    return response


def _log(level: int, name: str, moment: str) -> None:
    LOG.log(level, "%s-%s", name, moment, extra={"event": {"type": f"{name}-{moment}"}})
