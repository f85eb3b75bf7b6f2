"""Messages that a dead worker held, on real Redis (BEHAVIOUR 7.4)."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from celery import Celery

from tasks import contract
from tasks.coordination.redis.leases import Leases
from tasks.coordination.redis.part_locks import LeasedRuns
from tasks.transfer.ports import INSPECTION
from workers.broker.reclaim import reclaim


@pytest.fixture
def runs(client: redis.Redis) -> LeasedRuns:
    return LeasedRuns(Leases(client, 30), "imagepusher:", 1, lambda _: None)


@contextmanager
def taken(app: Celery, queue: str) -> Iterator[None]:
    """Take the messages of a queue as a worker does, and never acknowledge them."""
    with app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        # A worker that was killed puts nothing back.
        channel.do_restore = False
        while channel.basic_get(queue) is not None:
            pass
        yield


def waiting(client: redis.Redis, queue: str) -> int:
    return client.llen(f"imagepusher:{queue}")


MESSAGES = [
    (contract.PUSH_TASK, [{"items": []}], ("t", "push")),
    (contract.PUSH_TASK, [{"items": [], "push_id": "mine"}], ("mine", "push")),
    (contract.PUSH_TASK, ["nonsense"], ("t", "push")),
    (contract.COPY_TASK, ["p", "sha256:a"], ("p", "sha256:a")),
    (contract.PUBLISH_TASK, ["p"], ("p", "publish")),
    (contract.UNDO_TASK, ["p"], ("t", INSPECTION)),
    (contract.VERIFY_TASK, ["p"], ("t", INSPECTION)),
]


@pytest.mark.parametrize(("task", "arguments", "run"), MESSAGES)
def test_what_nobody_works_on_goes_back_to_its_queue(
    app: Celery, client: redis.Redis, runs: LeasedRuns, task: str, arguments: list[Any], run: tuple[str, str]
) -> None:
    before = time.time()
    sent = app.send_task(task, args=arguments, task_id="t")
    queue = next(name for name in contract.QUEUES if waiting(client, name))
    with taken(app, queue):
        assert waiting(client, queue) == 0
        assert reclaim(app, runs, before - 1) == 0, "it was taken a moment ago"
        with runs.hold(*run):
            assert reclaim(app, runs, time.time() + 1) == 0, "somebody works on it"
        assert reclaim(app, runs, time.time() + 1) == 1
        assert waiting(client, queue) == 1
        assert client.hlen("imagepusher:unacked") == 0
    found = json.loads(client.lrange(f"imagepusher:{queue}", 0, -1)[0])
    assert (found["headers"]["task"], found["headers"]["id"]) == (task, sent.id)


def test_what_a_worker_keeps_until_its_time_comes_stays(app: Celery, client: redis.Redis, runs: LeasedRuns) -> None:
    now = datetime.now(UTC)
    app.send_task(contract.COPY_TASK, args=["p", "sha256:a"], eta=now + timedelta(seconds=3600))
    with taken(app, contract.COPY_QUEUE):
        assert reclaim(app, runs, now.timestamp() + 3590) == 0
        assert reclaim(app, runs, now.timestamp() + 3610) == 1


@pytest.mark.parametrize(
    "spoilt",
    [
        {"headers": {}},
        {"headers": {"task": contract.COPY_TASK, "id": "t"}, "body": "%", "properties": {"body_encoding": "base64"}},
        {"headers": {"task": "somebody.else", "id": "t"}, "body": "[[], {}, {}]", "properties": {}},
        {"headers": {"task": contract.PUBLISH_TASK, "id": "t"}, "body": "[[], {}, {}]", "properties": {}},
        {"headers": {"task": contract.COPY_TASK, "id": "t"}, "body": "7", "properties": {}},
    ],
)
def test_what_cannot_be_read_stays_and_keeps_nothing_else_back(
    app: Celery, client: redis.Redis, runs: LeasedRuns, spoilt: dict[str, Any]
) -> None:
    client.hset("imagepusher:unacked", "spoilt", json.dumps([spoilt, "", contract.COPY_QUEUE]))
    client.zadd("imagepusher:unacked_index", {"spoilt": 1.0})
    app.send_task(contract.PUBLISH_TASK, args=["p"])
    with taken(app, contract.PUBLISH_QUEUE):
        assert reclaim(app, runs, time.time() + 1) == 1
    assert client.hlen("imagepusher:unacked") == 1
