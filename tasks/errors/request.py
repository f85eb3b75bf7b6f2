"""Errors of requests: a request breaks a rule, or its producer has no permission."""

from typing import Any

from tasks.errors.base import ImagePusherError, Side


# A builtin base beside our own is the exception that pubtools-quay raised: its callers catch it.
class RequestInvalid(ImagePusherError, ValueError, KeyError):
    """The request breaks rules; `faults` has all of them."""

    code = "request_invalid"
    side = Side.SETTINGS
    advice = "Nothing was written."

    def __init__(self, message: str, faults: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.faults = faults or []
        self.args = (message, self.faults)


class NotPermitted(ImagePusherError):
    """No rule of the settings permits this action of the producer."""

    code = "not_permitted"
    side = Side.SETTINGS
    advice = "Nothing was read or written. The operator of the workers sets `producers` and `policy`."
