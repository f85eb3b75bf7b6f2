"""The exceptions that callers of pubtools-quay catch: by the names of its package, and as requests' HTTPError."""

from http import HTTPStatus
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import requests

from tasks import contract
from tasks.errors import (
    AuthenticationRefused,
    CopyIncomplete,
    ImagePusherError,
    ManifestInvalid,
    NotFound,
    PushFailed,
    RateLimited,
    RegistryError,
    RegistryUnavailable,
    RequestRefused,
    SingleArchRefused,
    SourceMissing,
)

# The HTTP status of each error whose own status is not known, and of each below it.
_STATUS: Final[dict[type[ImagePusherError], HTTPStatus]] = {
    AuthenticationRefused: HTTPStatus.UNAUTHORIZED,
    NotFound: HTTPStatus.NOT_FOUND,
    RequestRefused: HTTPStatus.BAD_REQUEST,
    CopyIncomplete: HTTPStatus.BAD_REQUEST,
    RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    RegistryUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


def _original(name: str) -> Any:
    """Return an exception of pubtools-quay itself if it is installed: some callers import it from there."""
    try:
        return getattr(import_module("pubtools._quay.exceptions"), name, Exception)
    except ImportError:
        return Exception


if TYPE_CHECKING:
    _ManifestTypeError = Exception
    _ManifestNotFoundError = Exception
    _RegistryAuthError = Exception
else:
    _ManifestTypeError = _original("ManifestTypeError")
    _ManifestNotFoundError = _original("ManifestNotFoundError")
    _RegistryAuthError = _original("RegistryAuthError")


class ManifestTypeError(ManifestInvalid, _ManifestTypeError):
    """A manifest of another type than the wanted one."""


class ManifestNotFoundError(requests.HTTPError, _ManifestNotFoundError):
    """A manifest whose digest was asked for, and which does not exist."""


class RegistryAuthError(requests.HTTPError, _RegistryAuthError):
    """A registry that refused the user."""


class RegistryConnectionError(requests.HTTPError, requests.ConnectionError):
    """A registry that did not answer."""


class RegistryPushFailed(PushFailed, requests.HTTPError):
    """A push that failed because of a registry's refusal; `response` has the status of the first error."""

    def __init__(self, message: str, report: dict[str, Any] | None = None, status: int = 0) -> None:
        super().__init__(message, report)
        self.request = None
        self.response = _response(status)


class SingleArchPushFailed(PushFailed, ManifestTypeError):
    """A merge that failed because the source is no multi-arch image."""

    # The report says what to do.
    advice = ""


def failure(message: str, report: contract.PushReport, document: dict[str, Any], *, merge: bool = False) -> PushFailed:
    """Return the error of a failed push: also a requests error if a registry refused a request.

    A merge of pubtools-quay reads its source itself: its callers catch what that raises.
    """
    errors = [error for item in report.items for error in (item.error, *(tag.error for tag in item.tags)) if error]
    codes = [error.code for error in errors]
    statuses = _CODES | ({SourceMissing.code: HTTPStatus.NOT_FOUND} if merge else {})
    status = next((statuses[code] for code in codes if code in statuses), None)
    if status is not None:
        return RegistryPushFailed(message, document, status)
    is_single = merge and SingleArchRefused.code in codes
    return SingleArchPushFailed(message, document) if is_single else PushFailed(message, document)


def http_error(error: ImagePusherError) -> requests.HTTPError:
    """Return an error in the form that callers of requests expect."""
    status = error.status if isinstance(error, RegistryError) else None
    kind: type[requests.HTTPError] = requests.HTTPError
    if isinstance(error, AuthenticationRefused):
        kind = RegistryAuthError
    elif isinstance(error, RegistryUnavailable) and status is None:
        kind = RegistryConnectionError
    return kind(str(error), response=_response(status or _status_of(type(error)) or HTTPStatus.BAD_GATEWAY))


def _status_of(kind: type[ImagePusherError]) -> HTTPStatus | None:
    return next((_STATUS[each] for each in kind.__mro__ if each in _STATUS), None)


def _codes(kind: type[ImagePusherError]) -> dict[str, HTTPStatus]:
    status = _status_of(kind)
    own = {} if status is None else {kind.code: status}
    return own | {code: each for below in kind.__subclasses__() for code, each in _codes(below).items()}


_CODES: Final = {code: status for kind in _STATUS for code, status in _codes(kind).items()}


def _response(status: int) -> requests.Response:
    response = requests.Response()
    response.status_code = int(status)
    return response
