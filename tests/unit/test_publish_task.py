"""The task that moves tags, where the plan of its push is gone."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import Ignore

import tasks.publish
from tasks.errors import PushUnknown


class Deliveries:
    """The deliveries of a task that is not given back."""

    may_follow = held_up = None

    def __init__(self, *_: object) -> None:
        self.view = SimpleNamespace(progress=lambda _: None)

    @contextmanager
    def given_back(self) -> Iterator[None]:
        yield


def unknown(push_id: str, **_: object) -> Any:
    raise PushUnknown(f"The plan of the push {push_id!r} is gone from the ledger.")


@pytest.mark.parametrize(("request_of", "ends"), [(None, PushUnknown), ({"items": []}, Ignore)])
def test_a_push_that_was_sent_again_is_not_ended_by_a_task_of_the_run_before(
    monkeypatch: pytest.MonkeyPatch, request_of: dict[str, Any] | None, ends: type[Exception]
) -> None:
    """Rule 7.5: Redis forgot it, its producer sent it again, and it is not planned yet."""
    here = SimpleNamespace(publish=SimpleNamespace(run=unknown), ledger=SimpleNamespace(request=lambda _: request_of))
    monkeypatch.setattr(tasks.publish, "Deliveries", Deliveries)
    monkeypatch.setattr("tasks.celery_glue.runtime.of_app", lambda _: here)
    task = Celery(set_as_current=False).tasks[tasks.publish.publish.name]
    with pytest.raises(ends):
        task.run("p")
