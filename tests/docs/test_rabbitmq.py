"""What the examples say of producers and of `imagepusher doctor` is so with RabbitMQ as the broker."""

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from celery import Celery
from kombu import Connection

from tests.docs.readme import examples
from tests.docs.test_producers import PRODUCERS, World
from tests.support.commands import run
from tests.support.images import image, index, layer
from tests.support.rabbitmq import RabbitMQ
from tests.support.redis_server import RedisServer
from tests.support.registries import DistributionRegistry
from tests.support.stored import upload
from tests.support.workers import running_worker

_DEADLINE: Final = 300


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer(appendonly=True) as server:
        yield server


@pytest.fixture(scope="module")
def broker(redis: RedisServer) -> Iterator[RabbitMQ]:
    """Share a RabbitMQ with a worker."""
    with RabbitMQ() as node, running_worker(settings_of(node, redis)):
        yield node


def settings_of(broker: RabbitMQ, redis: RedisServer) -> dict[str, str]:
    return {"IMAGEPUSHER_BROKER_URL": broker.url, "IMAGEPUSHER_RESULT_URL": redis.url}


@pytest.fixture
def world(
    broker: RabbitMQ,
    redis: RedisServer,
    registry_a: DistributionRegistry,
    registry_b: DistributionRegistry,
    tmp_path: Path,
    name: str,
) -> World:
    node = index([image("linux/amd64", [layer(name, 1000)])])
    upload(registry_a.host, f"{name}/app", node, "1.2")
    return World(tmp_path, redis, registry_a, registry_b, name)


def said() -> dict[str, str]:
    """Return where the examples say that a push goes."""
    (place,) = (
        span for span, line in examples().spans() if span.startswith("exchange=") and line.section == "The message"
    )
    return dict(re.findall(r'(\w+)="([^"]+)"', place))


def test_a_python_program_sends_to_the_exchange(world: World, broker: RabbitMQ) -> None:
    request = {key: value for key, value in world.request().items() if key != "push_id"}
    (world.folder / "request.json").write_text(json.dumps(request))
    done = world.produce("producer.py", BROKER_URL=broker.url, RESULT_URL=world.redis.url)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "succeeded"


def test_the_message_that_a_shell_sends_is_one_of_rabbitmq_too(world: World, broker: RabbitMQ) -> None:
    shown = (PRODUCERS / "producer.sh").read_text()
    assert "headers: ({task: $task, id: $id} +" in shown
    assert 'body="[[$(cat "$1")], {}, {}]"' in shown
    request = world.request()
    push_id = str(uuid.uuid4())
    body = json.dumps([[request | {"push_id": push_id}], {}, {}])
    with Connection(broker.url) as connection:
        channel: Any = connection.channel()
        message = channel.prepare_message(
            body,
            content_type="application/json",
            content_encoding="utf-8",
            headers={"task": "imagepusher.push.v1", "id": push_id},
        )
        channel.basic_publish(message, **said())
    app = Celery("somebody", backend=world.redis.url, set_as_current=False)
    app.conf.result_backend_transport_options = {"global_keyprefix": "imagepusher:"}
    report = app.AsyncResult(push_id).get(timeout=_DEADLINE)
    assert report["state"] == "succeeded"


def test_doctor_finds_a_rabbitmq_that_lets_its_user_in_and_one_that_does_not(world: World, broker: RabbitMQ) -> None:
    settings = settings_of(broker, world.redis)
    ended = run("doctor", "--output", "json", world.b.host, settings=settings)
    assert ended.code == 0, ended.stdout
    place = f"RabbitMQ 127.0.0.1:{broker.port}//"
    assert (place, "ok") in [(each["where"], each["level"]) for each in ended.document["findings"]]
    wrong = broker.url.replace("guest:guest", "guest:not-to-be-shown")
    ended = run("doctor", "--output", "json", settings=settings | {"IMAGEPUSHER_BROKER_URL": wrong})
    assert ended.code == 1
    assert [each["where"] for each in ended.document["findings"] if each["level"] == "error"] == [place]
    assert "not-to-be-shown" not in ended.stdout + ended.stderr
