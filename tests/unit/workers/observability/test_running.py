"""Which push a task works for is read from its message, whatever a stranger put into it."""

from typing import Any

import pytest

from workers.observability.running import fields_of


@pytest.mark.parametrize(
    ("task", "args", "kwargs", "fields"),
    [
        ("imagepusher.push.v1", [{"push_id": "mine"}], {}, {"push_id": "mine"}),
        ("imagepusher.push.v1", [{"items": []}], {}, {"push_id": "task"}),
        ("imagepusher.push.v1", [{"push_id": ""}], {}, {"push_id": "task"}),
        ("imagepusher.push.v1", [{"push_id": 7}], {}, {"push_id": "task"}),
        ("imagepusher.push.v1", ["nonsense"], {}, {"push_id": "task"}),
        ("imagepusher.push.v1", [], {"request": {"push_id": "mine"}}, {"push_id": "mine"}),
        ("imagepusher.push.v1", [], {}, {"push_id": "task"}),
        ("imagepusher.copy.v1", ["mine", "sha256:ab"], {}, {"push_id": "mine", "digest": "sha256:ab"}),
        ("imagepusher.copy.v1", [1, 2], {}, {}),
        ("imagepusher.publish.v1", ["mine"], {}, {"push_id": "mine"}),
        ("imagepusher.verify.v1", ["mine"], {}, {"push_id": "mine"}),
        ("imagepusher.undo.v1", ["mine"], {}, {"push_id": "mine"}),
        ("imagepusher.preview.v1", [{"items": []}], {}, {}),
        ("somebody.elses", ["mine"], {}, {}),
    ],
)
def test_a_task_says_for_whom_it_works(
    task: str, args: list[Any], kwargs: dict[str, Any], fields: dict[str, str]
) -> None:
    assert fields_of(task, "task", args, kwargs) == fields
