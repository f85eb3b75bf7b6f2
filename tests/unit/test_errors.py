"""Errors as records and in results: what is read again is the error that was kept."""

import pytest

from tasks import errors
from tasks.contract import Fault, ItemReport, PushReport, Totals
from tasks.errors import (
    DestinationAmbiguous,
    ImagePusherError,
    LockLost,
    ManifestAmbiguous,
    NotFound,
    PushFailed,
    RateLimited,
    RequestInvalid,
    Side,
    from_record,
    to_record,
)
from tasks.pubtools_errors import failure

REPORT = PushReport(
    push_id="p",
    state="failed",
    items=[ItemReport(source="a.example/x:1", error=Fault.of(NotFound("gone")))],
    totals=Totals(),
)


@pytest.mark.parametrize(
    "error",
    [
        ManifestAmbiguous("m").on(Side.SOURCE),
        DestinationAmbiguous("m"),
        RateLimited("m", 300.0).on(Side.DESTINATION),
        LockLost("m"),
        RequestInvalid("m"),
        PushFailed("m"),
        ImagePusherError("m"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_record_becomes_the_same_error_again(error: ImagePusherError) -> None:
    again = from_record(to_record(error))
    assert type(again) is type(error)
    assert (str(again), again.side, again.retry_after) == (str(error), error.side, error.retry_after)


def test_another_form_of_an_error_is_kept_as_the_error() -> None:
    again = from_record(to_record(failure("m", REPORT, {})))
    assert type(again) is PushFailed


def test_an_error_of_a_later_version_keeps_its_code() -> None:
    again = from_record({"code": "of_a_later_version", "message": "m", "side": "source"})
    assert (type(again), again.code, again.side) == (ImagePusherError, "of_a_later_version", Side.SOURCE)


def test_work_under_a_lock_ends_where_the_task_is_given_back_or_the_lock_is_lost() -> None:
    ends = {kind.__name__ for kind in tree(ImagePusherError) if kind("m").ends_locked_work}
    assert ends == {"DestinationSlow", "LockLost", "PartBusy", "PushCancelled", "SourceSlow", "StateUnavailable"}


def test_a_result_names_each_error_by_the_public_package() -> None:
    """A client of another version imports the module that a result names."""
    assert {getattr(errors, name).__module__ for name in errors.__all__} == {"tasks.errors"}


def test_the_public_package_has_every_error() -> None:
    here = {kind.__name__ for kind in tree(ImagePusherError) if kind.__module__.startswith(errors.__name__)}
    assert here <= set(errors.__all__)


def tree(kind: type[ImagePusherError]) -> list[type[ImagePusherError]]:
    return [kind, *(below for each in kind.__subclasses__() for below in tree(each))]
