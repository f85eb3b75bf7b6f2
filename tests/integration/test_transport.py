"""The transport on a Redis that refuses writes (BEHAVIOUR 7.5)."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis
from kombu import Connection, Consumer, Message, Producer, Queue
from redis.exceptions import ResponseError

from tests.support.redis_server import RedisServer
from workers.broker.app import KEY_PREFIX, make_app
from workers.settings import load_settings

QUEUE = Queue("q")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def connection(server: RedisServer) -> Iterator[Connection]:
    app = make_app(load_settings({"IMAGEPUSHER_BROKER_URL": server.url}))
    with app.connection_for_read() as connection:
        yield connection


@pytest.mark.parametrize("answer", ["reject", "ack"])
def test_a_message_that_cannot_be_answered_takes_no_room(
    connection: Connection, server: RedisServer, answer: str
) -> None:
    """Otherwise a worker whose tasks go back to a full Redis takes no tasks any more."""
    taken: list[Message] = []
    with ExitStack() as stack:
        channel: Any = stack.enter_context(connection.channel())
        channel.basic_qos(0, 1, False)
        producer = Producer(channel)
        for number in range(2):
            producer.publish({"number": number}, routing_key=QUEUE.name, declare=[QUEUE], serializer="json")
        stack.enter_context(Consumer(channel, [QUEUE], on_message=taken.append, accept=["json"]))
        connection.drain_events(timeout=30)
        with redis.Redis(port=server.port) as client:
            if answer == "reject":
                client.config_set("maxmemory", 1)
                with pytest.raises(ResponseError):
                    taken[0].reject(requeue=True)
                client.config_set("maxmemory", 0)
            else:
                client.set(f"{KEY_PREFIX}unacked_index", "this is no sorted set")
                with pytest.raises(ResponseError):
                    taken[0].ack()
                client.delete(f"{KEY_PREFIX}unacked_index")
        connection.drain_events(timeout=30)
    assert [message.payload for message in taken] == [{"number": 0}, {"number": 1}]
