"""The canvas of a push: what its messages carry, in which order they are served, how monitors show them."""

import json

import pytest
from celery import Celery

from tasks.celery_glue.canvas import canvas_of
from tasks.transfer.plan.plan import Plan
from tests.support.plans import planned_copy, planned_tag, resolved_item


def plan_of(copies: int, destinations: int = 1) -> Plan:
    tags = [planned_tag(f"b.example/x:{number}") for number in range(2)]
    names = tuple(f"b.example/x{number}" for number in range(destinations))
    planned = [planned_copy(f"sha256:{number:064}", "127.0.0.1:5001/src/app", names) for number in range(copies)]
    return Plan(push_id="p", created=1.0, items=[resolved_item(*tags)], copies=planned)


@pytest.fixture
def app() -> Celery:
    return Celery("test", broker="redis://127.0.0.1:1", set_as_current=False)


def test_every_copy_is_a_task_and_the_publish_callback_follows(app: Celery) -> None:
    canvas = canvas_of(app, plan_of(3))
    assert canvas.task == "celery.chord"
    header, body = canvas.kwargs["header"], canvas.kwargs["body"]
    assert [part.task for part in header] == ["imagepusher.copy.v1"] * 3
    assert [part.args for part in header] == [("p", f"sha256:{number:064}") for number in range(3)]
    assert (body.task, body.args, body.immutable) == ("imagepusher.publish.v1", ("p",), True)


def test_the_callback_stays_small_whatever_the_plan(app: Celery) -> None:
    """Celery copies it into each message of the header."""
    sizes = [len(json.dumps(canvas_of(app, plan_of(copies)).kwargs["body"])) for copies in (1, 2000)]
    assert sizes[0] == sizes[1] < 600


def test_copies_that_ended_are_not_sent_again(app: Celery) -> None:
    ended = frozenset(f"sha256:{number:064}" for number in (0, 2))
    header = canvas_of(app, plan_of(3), ended).kwargs["header"]
    assert [part.args[1] for part in header] == [f"sha256:{1:064}"]


def test_nothing_left_to_copy_leaves_the_tags(app: Celery) -> None:
    assert canvas_of(app, plan_of(0)).task == "imagepusher.publish.v1"


def test_the_first_copies_of_every_push_go_before_the_many_of_one(app: Celery) -> None:
    """A push of one image is not stuck behind one of 500; Redis serves the lowest number first."""
    priorities = [part.options["priority"] for part in canvas_of(app, plan_of(600)).kwargs["header"]]
    assert priorities == sorted(priorities)
    assert [priorities.index(step) for step in (0, 3, 6, 9)] == [0, 8, 64, 512]


def test_rabbitmq_serves_the_highest_number_first(app: Celery) -> None:
    app.conf.update(broker_url="amqp://127.0.0.1")
    priorities = [part.options["priority"] for part in canvas_of(app, plan_of(600)).kwargs["header"]]
    assert priorities == sorted(priorities, reverse=True)


@pytest.mark.parametrize(("destinations", "shown"), [(1, "1 repository"), (3, "3 repositories")])
def test_monitors_show_what_is_copied_where(app: Celery, destinations: int, shown: str) -> None:
    canvas = canvas_of(app, plan_of(1, destinations))
    assert canvas.kwargs["header"][0].options["argsrepr"] == (f"(127.0.0.1:5001/src/app@sha256:000000… → {shown})")


def test_the_callback_is_shown_as_the_push_whose_task_id_it_has(app: Celery) -> None:
    for canvas in (canvas_of(app, plan_of(1)).kwargs["body"], canvas_of(app, plan_of(0))):
        assert canvas.options["shadow"] == "imagepusher.push.v1"
        assert canvas.options["argsrepr"].endswith(" → 2 tags)")
