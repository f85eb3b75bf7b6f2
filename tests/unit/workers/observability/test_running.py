"""Which push a task works for is read from its message, whatever a stranger put into it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from celery import Celery
from celery.signals import task_postrun, task_prerun

from tasks import contract, telemetry
from workers.observability.running import fields_of, log_context, surround_tasks


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


@pytest.fixture
def app() -> Iterator[Celery]:
    """Return an application that runs tasks at once, and forget afterwards who listens to Celery's signals."""
    signals = (task_prerun, task_postrun)
    before = [signal.receivers[:] for signal in signals]
    app = Celery("somebody", set_as_current=False, broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager = True
    yield app
    for signal, receivers in zip(signals, before, strict=True):
        signal.receivers[:] = receivers


def test_each_task_is_surrounded_even_inside_of_another_and_when_it_fails(app: Celery) -> None:
    told: list[str] = []

    def noting(task: Any) -> AbstractContextManager[None]:
        return note(task.name)

    @contextmanager
    def note(name: str) -> Iterator[None]:
        told.append(f"enter {name} of {telemetry.bound().get('push_id')}")
        yield
        told.append(f"leave {name}")

    @app.task(name=contract.COPY_TASK, shared=False)
    def inner(push_id: str, digest: str) -> None:
        raise ValueError(push_id, digest)

    @app.task(name=contract.PUSH_TASK, shared=False)
    def outer(request: dict[str, str]) -> dict[str, str]:
        inner.apply(("two", "sha256:ab"))
        return dict(telemetry.bound())

    surround_tasks(log_context, noting)
    assert outer.apply(({"push_id": "one"},)).result == {"push_id": "one"}
    assert told == [
        f"enter {contract.PUSH_TASK} of one",
        f"enter {contract.COPY_TASK} of two",
        f"leave {contract.COPY_TASK}",
        f"leave {contract.PUSH_TASK}",
    ]
    assert telemetry.bound() == {}
