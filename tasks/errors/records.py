"""Errors as records of JSON types, and back."""

from functools import cache
from typing import Any, Final

from tasks.errors.base import ImagePusherError, Retry
from tasks.errors.push import PushFailed
from tasks.errors.request import RequestInvalid

_OTHERWISE_MADE: Final = (RequestInvalid, PushFailed)


def to_record(error: ImagePusherError) -> dict[str, Any]:
    """Return an error as JSON types, from which `from_record` rebuilds it."""
    record = {"code": error.code, "message": error.message, "side": error.side, "retry_after": error.retry_after}
    return {key: value for key, value in record.items() if value is not None}


def from_record(record: dict[str, Any]) -> ImagePusherError:
    """Return the error of a record; an unknown code is kept as it is."""
    kind = _kind_of(record["code"], record.get("side"))
    error = kind(record["message"]) if kind in _OTHERWISE_MADE else kind(*_arguments(record))
    error.code = record["code"]
    return error


def may_pass(code: str) -> bool:
    """Tell whether another try may succeed after an error of this code."""
    return _kind_of(code).retry in {Retry.LATER, Retry.WAIT}


def _arguments(record: dict[str, Any]) -> tuple[Any, ...]:
    return record["message"], record.get("retry_after"), record.get("side")


def _kind_of(code: str, side: str | None = None) -> type[ImagePusherError]:
    """Return the class of a code; of two with one code, the one of that side, or else the one of any side."""
    kinds = [kind for kind in _kinds() if kind.code == code] or [ImagePusherError]
    return min(kinds, key=lambda kind: (kind.side != side, kind.side is not None))


@cache
def _kinds() -> list[type[ImagePusherError]]:
    # Asked for when the package has loaded all of its files. A class without a code of its own is another form of the
    # error that it inherits from, for some callers.
    return [kind for kind in _tree(ImagePusherError) if "code" in vars(kind)]


def _tree(kind: type[ImagePusherError]) -> list[type[ImagePusherError]]:
    return [kind, *(below for each in kind.__subclasses__() for below in _tree(each))]
