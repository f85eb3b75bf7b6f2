"""Tags of a release that could not be put back: for how long that is tried (BEHAVIOUR 10.1)."""

import pytest

from tasks import contract
from tasks.errors import Retry
from tasks.transfer.publish.unsettled_tags import unsettled


def stuck(code: str, message: str = "why") -> contract.TagUndo:
    return contract.TagUndo(reference="b.example/app:1", action="failed", error=contract.Fault(code, message))


@pytest.mark.parametrize(
    ("code", "retry"),
    [
        ("registry_unavailable", Retry.WAIT),
        ("registry_read_only", Retry.WAIT),
        ("quota_exceeded", Retry.WAIT),
        ("authentication_refused", Retry.LATER),
        ("request_refused", Retry.LATER),
    ],
)
def test_what_may_end_is_waited_for_and_the_rest_has_as_many_tries_as_a_tag(code: str, retry: Retry) -> None:
    """Somebody makes room in a full namespace."""
    assert unsettled([stuck("request_refused"), stuck(code)], None).retry is retry


def test_it_says_which_tag_and_why() -> None:
    error = unsettled([stuck("quota_exceeded", "Quota has been exceeded.")], None)
    assert error.message == "b.example/app:1 could not be put back yet: Quota has been exceeded."
