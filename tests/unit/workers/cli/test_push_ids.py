"""The id of a push is that of its request, or of the command line, or a new one."""

import uuid
from typing import Any

import pytest

from tasks.errors import RequestInvalid
from workers.cli.push_ids import identify


def test_a_push_has_the_id_of_its_request_or_of_the_command_line_or_a_new_one() -> None:
    assert identify({"push_id": "a"}, None) == ({"push_id": "a"}, "a")
    assert identify({"push_id": "a"}, "a") == ({"push_id": "a"}, "a")
    assert identify({"push_id": None}, "b") == ({"push_id": "b"}, "b")
    request, push_id = identify({}, None)
    assert request == {"push_id": push_id}
    assert str(uuid.UUID(push_id)) == push_id
    with pytest.raises(RequestInvalid, match=r"'a', the command line says 'b'"):
        identify({"push_id": "a"}, "b")


@pytest.mark.parametrize("own", ["", 5, ["a"]])
def test_an_id_that_cannot_be_one_is_kept_for_its_validation(own: Any) -> None:
    request, push_id = identify({"push_id": own}, None)
    assert request == {"push_id": own}
    assert str(uuid.UUID(push_id)) == push_id
