"""Pushes that are taken from their queue, on real Redis: each is in the ledger before Celery may take it."""

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
import redis
from celery import Celery

from tasks import contract
from tasks.coordination.ledger import HashLedger
from tasks.coordination.redis_hashes import RedisHashes
from tests.support.redis_server import RedisServer
from workers.app import NOTED_QUEUE, make_app
from workers.intake import Intake
from workers.settings import load_settings

DATABASE = 5
QUEUE = f"imagepusher:{contract.PUSH_QUEUE}"
NOTED = f"imagepusher:{NOTED_QUEUE}"
REQUEST: dict[str, Any] = {"items": []}


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis(port=redis_server.port, db=DATABASE) as made:
        made.flushdb()
        yield made


@pytest.fixture
def app(redis_server: RedisServer) -> Celery:
    url = f"{redis_server.url.removesuffix('/0')}/{DATABASE}"
    return make_app(load_settings({"IMAGEPUSHER_BROKER_URL": url}))


@pytest.fixture
def ledger(client: redis.Redis) -> HashLedger:
    return HashLedger(RedisHashes(client, 60))


@pytest.fixture
def intake(client: redis.Redis, ledger: HashLedger) -> Intake:
    return Intake(client, ledger, lambda: True)


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
    other = Intake(client, ledger, lambda: True)
    for each in (intake, other):
        each._pass_on(keys=[f"{QUEUE}.intake", NOTED], args=[taken])
    assert noted(client) == ["one"]


@pytest.mark.parametrize(
    "message", [b"not JSON", b"[]", b'{"headers": {}}', b"7", b"\xff", b'{"properties": 1, "body": ""}']
)
def test_what_is_no_message_ends_no_worker(client: redis.Redis, intake: Intake, message: bytes) -> None:
    client.lpush(QUEUE, message)
    intake.take()
    assert [client.llen(key) for key in (QUEUE, f"{QUEUE}.intake", NOTED)] == [0, 0, 0]


def test_a_message_of_an_older_protocol_is_passed_on(client: redis.Redis, ledger: HashLedger, intake: Intake) -> None:
    message = b'{"headers": {}, "properties": {}, "body": "e30="}'
    client.lpush(QUEUE, message)
    intake.take()
    assert client.lrange(NOTED, 0, -1) == [message]
    assert ledger.open_pushes() == []


def test_a_question_is_no_push(app: Celery, client: redis.Redis, ledger: HashLedger, intake: Intake) -> None:
    app.send_task(contract.VERIFY_TASK, args=["p"], task_id="one")
    intake.take()
    assert noted(client) == ["one"]
    assert ledger.pushes() == []
