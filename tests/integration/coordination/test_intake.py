"""Pushes that are taken from their queue, on real Redis: each is in the ledger before Celery may take it."""

import base64
import json
from typing import Any, cast

import pytest
import redis
from celery import Celery

from tasks import contract
from tasks.celery_glue.admission import Admission, NotTaken
from tasks.celery_glue.signature import Keys, Signer
from tasks.coordination.ledger import HashLedger
from tasks.coordination.redis.hashes import RedisHashes
from tasks.errors import StateUnavailable
from tasks.transfer.ports import TagIntent
from tests.support.processes import wait_until
from workers.broker.app import NOTED_QUEUE
from workers.broker.intake import Intake
from workers.broker.signed import sign_with

QUEUE = f"imagepusher:{contract.PUSH_QUEUE}"
NOTED = f"imagepusher:{NOTED_QUEUE}"
REQUEST: dict[str, Any] = {"items": []}


@pytest.fixture
def ledger(client: redis.Redis) -> HashLedger:
    return HashLedger(RedisHashes(client, 60))


@pytest.fixture
def refused() -> list[object]:
    """Return a list of the ids whose messages are refused."""
    return []


@pytest.fixture
def intake(client: redis.Redis, ledger: HashLedger, refused: list[object]) -> Intake:
    return Intake(client, ledger, lambda: True, lambda task_id, _: refused.append(task_id))


def noted(client: redis.Redis) -> list[str]:
    """Return the ids of what Celery may take, in the order in which it takes it."""
    found = client.lrange(NOTED, 0, -1)
    assert isinstance(found, list)
    return [json.loads(message)["headers"]["id"] for message in reversed(found)]


def test_a_push_is_in_the_ledger_before_celery_may_take_it(
    app: Celery, client: redis.Redis, ledger: HashLedger, intake: Intake
) -> None:
    """Rule 7.5."""
    for task_id, request in (("one", REQUEST), ("two", REQUEST | {"push_id": "mine"})):
        app.send_task(contract.PUSH_TASK, args=[request], task_id=task_id)
    assert ledger.open_pushes() == []
    for _ in range(2):
        intake.take()
    assert {(push.push_id, push.task_id) for push in ledger.open_pushes()} == {("one", "one"), ("mine", "two")}
    assert ledger.request("mine") == REQUEST | {"push_id": "mine"}
    assert noted(client) == ["one", "two"]
    assert client.llen(QUEUE) == 0


@pytest.mark.parametrize("priority", [3, 6, 9])
def test_what_was_sent_with_a_priority_is_taken_too(
    app: Celery, client: redis.Redis, intake: Intake, priority: int
) -> None:
    app.send_task(contract.PUSH_TASK, args=[REQUEST], task_id="one", priority=priority)
    intake.take()
    assert noted(client) == ["one"]


def test_a_push_that_the_ledger_knows_stays_as_it_is(
    app: Celery, client: redis.Redis, ledger: HashLedger, intake: Intake
) -> None:
    ledger.accept("mine", REQUEST, "first")
    app.send_task(contract.PUSH_TASK, args=[REQUEST | {"push_id": "mine"}], task_id="again")
    intake.take()
    assert (ledger.task_id("mine"), ledger.request("mine")) == ("first", REQUEST)
    assert noted(client) == ["again"]


def test_another_task_that_sent_the_same_push_is_noted_too(
    app: Celery, client: redis.Redis, ledger: HashLedger, intake: Intake
) -> None:
    """Rule 7.5: its message may be lost as any other."""
    ledger.accept("mine", REQUEST | {"push_id": "mine"}, "first")
    for task_id, request in (("again", {"push_id": "mine"}), ("other", {"push_id": "mine", "target": "x"})):
        app.send_task(contract.PUSH_TASK, args=[REQUEST | request], task_id=task_id)
        intake.take()
    assert noted(client) == ["again", "other"]
    (push,) = ledger.open_pushes()
    assert (push.waiting, push.noted) == (("first",), ("again",))


def test_what_another_worker_took_and_did_not_pass_on_is_passed_on(
    app: Celery, client: redis.Redis, ledger: HashLedger, intake: Intake
) -> None:
    """Rule 7.4."""
    app.send_task(contract.PUSH_TASK, args=[REQUEST], task_id="one")
    client.lmove(QUEUE, f"{QUEUE}.intake", "RIGHT", "LEFT")
    intake.take()
    assert [push.push_id for push in ledger.open_pushes()] == ["one"]
    assert noted(client) == ["one"]
    assert client.llen(f"{QUEUE}.intake") == 0


def test_two_that_find_a_message_in_the_intake_pass_it_on_once(
    app: Celery, client: redis.Redis, ledger: HashLedger, intake: Intake
) -> None:
    """Rule 7.3."""
    app.send_task(contract.PUSH_TASK, args=[REQUEST], task_id="one")
    client.lmove(QUEUE, f"{QUEUE}.intake", "RIGHT", "LEFT")
    (taken,) = cast("list[bytes]", client.lrange(f"{QUEUE}.intake", 0, -1))
    other = Intake(client, ledger, lambda: True, lambda *_: None)
    for each in (intake, other):
        each._pass_on(keys=[f"{QUEUE}.intake", NOTED], args=[taken])
    assert noted(client) == ["one"]


@pytest.mark.parametrize(
    "message",
    [
        b"not JSON",
        b"[]",
        b'{"headers": {}}',
        b"7",
        b"\xff",
        b'{"properties": 1, "body": ""}',
        b'{"headers": 7}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_message_ends_no_worker(client: redis.Redis, intake: Intake, message: bytes) -> None:
    client.lpush(QUEUE, message)
    intake.take()
    assert [client.llen(key) for key in (QUEUE, f"{QUEUE}.intake", NOTED)] == [0, 0, 0]


def plain_message(**changed: Any) -> dict[str, Any]:
    """Return a message as a program that does not know Celery may write it."""
    message: dict[str, Any] = {
        "body": base64.b64encode(json.dumps([[REQUEST], {}, {}]).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": contract.PUSH_TASK, "id": "one"},
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": "one",
            "delivery_info": {"exchange": "", "routing_key": contract.PUSH_QUEUE},
        },
    }
    return message | changed


def encoded(document: object) -> str:
    return base64.b64encode(json.dumps(document).encode()).decode()


def test_a_message_that_was_written_by_hand_is_passed_on(
    client: redis.Redis, ledger: HashLedger, intake: Intake, refused: list[object]
) -> None:
    client.lpush(QUEUE, json.dumps(plain_message()))
    intake.take()
    assert (noted(client), refused) == (["one"], [])
    assert [push.push_id for push in ledger.open_pushes()] == ["one"]


@pytest.mark.parametrize(
    "changed",
    [
        {"body": ""},
        {"body": None},
        {"body": 5},
        {"body": "e30"},
        {"body": encoded(REQUEST)},
        {"body": encoded([])},
        {"body": encoded(7)},
        {"body": encoded("x")},
        {"body": encoded([REQUEST, {}, {}])},
        # A lone surrogate is valid JSON, and no text that can be stored.
        {"body": encoded([[{"items": ["\ud800"]}], {}, {}])},
        {"content-type": None},
        {"content-type": "application/x-python-serialize"},
        {"properties": {"body_encoding": "foo", "delivery_tag": "one"}},
        {"headers": {"task": contract.PUSH_TASK, "id": "one", "compression": "no such one"}},
    ],
)
def test_a_body_that_would_end_a_worker_is_refused_and_its_producer_told(
    client: redis.Redis, ledger: HashLedger, intake: Intake, refused: list[object], changed: dict[str, Any]
) -> None:
    client.lpush(QUEUE, json.dumps(plain_message(**changed)))
    intake.take()
    assert [client.llen(key) for key in (QUEUE, f"{QUEUE}.intake", NOTED)] == [0, 0, 0]
    assert refused == ["one"]
    assert ledger.open_pushes() == []


def test_a_compressed_message_is_refused_before_it_is_decoded(
    app: Celery, client: redis.Redis, ledger: HashLedger, intake: Intake, refused: list[object]
) -> None:
    app.send_task(contract.PUSH_TASK, args=[REQUEST], task_id="one", compression="gzip")
    intake.take()
    assert (noted(client), refused, ledger.open_pushes()) == ([], ["one"], [])


def test_a_message_of_an_older_protocol_is_refused(app: Celery, client: redis.Redis, intake: Intake) -> None:
    app.conf.task_protocol = 1
    app.send_task(contract.PUSH_TASK, args=[REQUEST], task_id="one")
    intake.take()
    assert client.llen(NOTED) == 0


@pytest.mark.parametrize(
    ("task", "arguments"),
    [
        ("celery.accumulate", [1]),
        ("celery.chain", []),
        (contract.COPY_TASK, ["p", "sha256:1"]),
        (contract.PUBLISH_TASK, ["p"]),
        ("x", []),
    ],
)
def test_a_task_of_workers_or_of_celery_is_refused_and_no_result_is_stored(
    app: Celery, client: redis.Redis, ledger: HashLedger, task: str, arguments: list[Any]
) -> None:
    told: list[NotTaken] = []
    admission = Admission(Keys(workers=b"w" * 32))
    careful = Intake(client, ledger, lambda: True, lambda _, refused: told.append(refused), admission)
    app.send_task(task, args=arguments, queue=contract.PUSH_QUEUE, task_id="victim")
    careful.take()
    assert noted(client) == []
    assert [refused.answers for refused in told] == [False]


@pytest.mark.parametrize("option", ["link", "link_error", "chain", "chord"])
def test_a_message_that_would_make_a_worker_send_tasks_is_refused(
    app: Celery, client: redis.Redis, ledger: HashLedger, intake: Intake, refused: list[object], option: str
) -> None:
    follows = app.signature("signer.tag_moved", args=[{"reference": "forged"}], queue="signing")
    chosen: Any = [follows] if option == "chain" else follows
    app.send_task(contract.PUSH_TASK, args=[REQUEST], task_id="one", **{option: chosen})
    intake.take()
    assert (noted(client), refused, ledger.open_pushes()) == ([], ["one"], [])


_TEXTS = ("group", "root_id", "parent_id", "origin", "lang", "argsrepr", "shadow", "traceparent", "tracestate")
ODD_HEADERS: dict[str, list[object]] = {
    "timelimit": ["x", 7, [1], [1, 2], [None, None, None], {}, [[]], [3600, None]],
    "retries": ["x", -1, 1.5, [], {"a": 1}, 10**30],
    "ignore_result": ["x", {}],
    **{name: [7, [], {"a": 1}, "\ud800"] for name in _TEXTS},
    **{name: ["x", [], {"a": 1}, -1] for name in ("group_index", "replaced_task_nesting")},
    **{name: [{"a": 1}, ["a"], 7, "x"] for name in ("stamps", "stamped_headers")},
}


@pytest.mark.parametrize(("header", "value"), [(name, odd) for name, each in ODD_HEADERS.items() for odd in each])
def test_a_header_that_celery_would_fail_on_is_refused(
    client: redis.Redis, ledger: HashLedger, intake: Intake, refused: list[object], header: str, value: object
) -> None:
    """It would fail after it had taken a place of the worker, which would stay taken."""
    headers = {"task": contract.PUSH_TASK, "id": "one", header: value}
    client.lpush(QUEUE, json.dumps(plain_message(headers=headers)))
    intake.take()
    assert (noted(client), refused, ledger.open_pushes()) == ([], ["one"], [])


@pytest.mark.parametrize(
    "call",
    [
        [[], {}, {}],
        [[REQUEST, 1], {}, {}],
        [[REQUEST], {"request": REQUEST}, {}],
        [[REQUEST], {"x": 1}, {}],
        [[], {"push_id": "x"}, {}],
    ],
)
def test_arguments_that_a_task_does_not_have_are_refused(
    client: redis.Redis, ledger: HashLedger, intake: Intake, refused: list[object], call: list[object]
) -> None:
    client.lpush(QUEUE, json.dumps(plain_message(body=encoded(call))))
    intake.take()
    assert (noted(client), refused, ledger.open_pushes()) == ([], ["one"], [])


def test_a_copy_of_nothing_is_refused(client: redis.Redis, intake: Intake) -> None:
    headers = {"task": contract.COPY_TASK, "id": "one"}
    client.lpush(QUEUE, json.dumps(plain_message(headers=headers, body=encoded([["push"], {}, {}]))))
    intake.take()
    assert noted(client) == []


@pytest.mark.parametrize("name", ["id", "imagepusher_sender", "delivery_info", "retries", "args", "x"])
def test_an_option_that_celery_would_put_in_the_place_of_a_header_is_refused(
    client: redis.Redis, ledger: HashLedger, intake: Intake, refused: list[object], name: str
) -> None:
    """The id, and the name of the sender, are those of the message alone."""
    client.lpush(QUEUE, json.dumps(plain_message(body=encoded([[REQUEST], {}, {name: "victim"}]))))
    intake.take()
    assert (noted(client), refused, ledger.open_pushes()) == ([], ["one"], [])


def test_a_push_that_is_not_due_yet_is_refused(
    app: Celery, client: redis.Redis, ledger: HashLedger, intake: Intake, refused: list[object]
) -> None:
    """The watchdog would take it for stalled, and carry it out before its time."""
    app.send_task(contract.PUSH_TASK, args=[REQUEST], task_id="one", countdown=3600)
    intake.take()
    assert (noted(client), refused, ledger.open_pushes()) == ([], ["one"], [])


def test_a_message_that_is_too_large_is_refused_before_it_is_decoded(
    app: Celery, client: redis.Redis, ledger: HashLedger
) -> None:
    told: list[str] = []
    small = Intake(client, ledger, lambda: True, lambda _, why: told.append(str(why)), Admission(message_bytes=1000))
    app.send_task(contract.PUSH_TASK, args=[{"items": ["x" * 5000]}], task_id="one")
    small.take()
    assert noted(client) == []
    assert "limits.message_bytes" in told[0]


@pytest.mark.parametrize("place", ["beside the body", "in the body", "in a body that is not encoded"])
@pytest.mark.parametrize("junk", [[], {}, 1, ""])
def test_a_message_that_would_be_large_when_it_is_decoded_is_not_decoded(
    client: redis.Redis, ledger: HashLedger, monkeypatch: pytest.MonkeyPatch, place: str, junk: object
) -> None:
    """16 MiB of `[],` are 400 MiB of lists: a worker that is killed for it would come back to the same message."""
    told: list[str] = []
    small = Intake(client, ledger, lambda: True, lambda _, why: told.append(str(why)), Admission(message_bytes=32_000))
    many = [[{"items": [junk] * 3000}], {}, {}]
    message = plain_message(**({"x": many} if place == "beside the body" else {"body": encoded(many)}))
    if place == "in a body that is not encoded":
        message = plain_message(body=json.dumps(many), properties={"delivery_tag": "one"})
    monkeypatch.setattr("workers.broker.intake.decode", lambda *_: pytest.fail("it was decoded"))
    client.lpush(QUEUE, json.dumps(message))
    small.take()
    assert noted(client) == []
    assert "more than 2000 values" in told[0]


@pytest.mark.parametrize(
    "properties",
    [
        {"delivery_tag": {}},
        {"delivery_tag": []},
        {},
        {"delivery_tag": "one", "delivery_info": 7},
        {"delivery_tag": "\ud800"},
        {"delivery_tag": "x" * 256},
        {"delivery_tag": "one", "delivery_info": {"exchange": "\udfff", "routing_key": ""}},
        {"delivery_tag": "one", "delivery_info": {"exchange": {}, "routing_key": []}},
    ],
)
def test_malformed_delivery_information_ends_no_worker(
    client: redis.Redis, intake: Intake, refused: list[object], properties: dict[str, Any]
) -> None:
    client.lpush(QUEUE, json.dumps(plain_message(properties={"body_encoding": "base64", **properties})))
    intake.take()
    assert [client.llen(key) for key in (QUEUE, f"{QUEUE}.intake", NOTED)] == [0, 0, 0]
    assert refused == ["one"]


@pytest.mark.parametrize("push_id", ["victim:intents", "victim/intents"])
def test_no_id_of_a_push_is_the_key_of_a_part_of_another_one(
    app: Celery, client: redis.Redis, ledger: HashLedger, intake: Intake, push_id: str
) -> None:
    intent = TagIntent(action="merged", old_digest="sha256:o", new_digest="sha256:n", kept_platforms=[])
    ledger.accept("victim", REQUEST, "victim")
    ledger.record_intent("victim", "b/x:1", intent)
    before = {key: client.dump(key) for key in cast("list[bytes]", client.keys("*victim*"))}
    app.send_task(contract.PUSH_TASK, args=[REQUEST | {"push_id": push_id}], task_id="one")
    intake.take()
    assert {key: client.dump(key) for key in before} == before
    assert ledger.intents("victim") == {"b/x:1": intent}


@pytest.mark.parametrize(
    ("task", "argument"),
    [
        (contract.PUSH_TASK, {"items": [], "push_id": "other"}),
        (contract.PUSH_TASK, {"items": ["another request"]}),
        (contract.VERIFY_TASK, "victim"),
        (contract.UNDO_TASK, "victim"),
        (contract.PREVIEW_TASK, REQUEST),
    ],
)
def test_nothing_is_taken_under_the_id_of_somebody_elses_push(
    app: Celery, client: redis.Redis, ledger: HashLedger, task: str, argument: object
) -> None:
    """Its result would stand where that of the push belongs."""
    told: list[NotTaken] = []
    intake = Intake(client, ledger, lambda: True, lambda _, refused: told.append(refused))
    ledger.accept("victim", REQUEST, "victim")
    app.send_task(task, args=[argument], task_id="victim", queue=contract.PUSH_QUEUE)
    intake.take()
    assert noted(client) == []
    assert [refused.answers for refused in told] == [False]
    assert ledger.request("other") is None


def test_a_push_whose_producer_could_not_be_noted_is_taken_when_it_can_be(
    app: Celery, client: redis.Redis, ledger: HashLedger, refused: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 7.5: half noted, it would be nobody's, and refused to the producer whose it is."""
    key = b"k" * 32
    admission = Admission(Keys(workers=b"w" * 32, producers={"ci": key}))
    intake = Intake(client, ledger, lambda: True, lambda task_id, _: refused.append(task_id), admission)
    sign_with(app, Signer("ci", key))
    app.send_task(contract.PUSH_TASK, args=[REQUEST], task_id="one")
    with monkeypatch.context() as away:
        away.setattr(ledger, "note_producer", lambda *_: (_ for _ in ()).throw(StateUnavailable("Redis is away.")))
        with pytest.raises(StateUnavailable):
            intake.take()
    intake.take()
    assert (noted(client), refused, ledger.producer("one")) == (["one"], [], "ci")


def test_the_wrong_type_of_key_under_the_name_of_a_queue_is_told_and_survived(
    client: redis.Redis, intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    client.set(QUEUE, "x")
    intake.start()
    wait_until(lambda: "WRONGTYPE" in caplog.text, "nobody told of it")
    client.delete(QUEUE)
    client.lpush(QUEUE, json.dumps(plain_message()))
    wait_until(lambda: noted(client) == ["one"], "the intake stands still")
    intake.stop()
    intake._thread.join(10)


def test_a_question_is_no_push(app: Celery, client: redis.Redis, ledger: HashLedger, intake: Intake) -> None:
    app.send_task(contract.VERIFY_TASK, args=["p"], task_id="one")
    intake.take()
    assert noted(client) == ["one"]
    assert ledger.pushes() == []
