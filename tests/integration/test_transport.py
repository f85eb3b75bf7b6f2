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
from workers.broker.connection import BrokerConnection
from workers.broker.transport import SentinelTransport, Transport
from workers.settings import load_settings

QUEUE = Queue("q")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def connection(server: RedisServer) -> Iterator[Connection]:
    with BrokerConnection(server.url, transport_options={"global_keyprefix": KEY_PREFIX}) as made:
        yield made


@pytest.mark.parametrize(
    ("url", "transport"),
    [
        ("redis://broker.example/0", Transport),
        ("rediss://broker.example/0", Transport),
        ("sentinel://broker.example:26379", SentinelTransport),
    ],
)
def test_only_the_application_has_the_transports_of_this_program(url: str, transport: type) -> None:
    """Other applications of the process keep those of kombu."""
    app = make_app(load_settings({}))
    assert app.connection_for_write(url).get_transport_cls() is transport
    assert app.connection_for_read(url).clone().get_transport_cls() is transport
    assert Connection(url).get_transport_cls() is not transport


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


def test_a_message_is_sent_though_its_channel_was_closed_meanwhile(connection: Connection) -> None:
    """Rule 7.5: the thread of the consumer closes all channels when Redis was away; a task may be sending just then."""
    channel: Any = connection.channel()
    producer = Producer(channel, auto_declare=False)
    send = connection.ensure(producer, producer.publish, max_retries=3)
    channel.connection, channel._pool, channel._made = None, None, None
    send({"number": 0}, routing_key=QUEUE.name, serializer="json")
    with connection.channel() as another:
        message = QUEUE(another).get(accept=["json"])
    assert message is not None
    assert message.payload == {"number": 0}
