"""The transport on a Redis that refuses writes, or holds what is no message (BEHAVIOUR 7.5)."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import redis
from kombu import Connection, Consumer, Exchange, Message, Producer, Queue
from redis.exceptions import ResponseError

from tasks import contract
from tests.support.redis_server import RedisServer
from workers.broker.app import KEY_PREFIX, NOTED_QUEUE, make_app
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


def test_messages_are_sent_by_the_transport_of_this_program(server: RedisServer) -> None:
    """kombu's pool of connections makes its own kind, whatever kind it is a pool of."""
    app = make_app(load_settings({"IMAGEPUSHER_BROKER_URL": server.url}))
    with app.producer_pool.acquire(block=True) as producer:
        channel: Any = producer.channel
        assert isinstance(channel.connection, Transport)
        assert channel._create_client() is channel._create_client()


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


ENCODINGS: list[Any] = ["hex", "utf-8", "", 7, True, [], ["base64"], {"base64": 1}]
BODIES: list[Any] = [None, 7, 10**12, True, [1], {"a": 1}, "x"]
TAGS: list[Any] = [None, 7, [], {}, "\ud800", "x" * 256]
NO_MAPPINGS: list[Any] = [[], "x", None]
NO_MESSAGES: list[dict[str, Any]] = [
    *({"properties": {"delivery_tag": "one", "body_encoding": encoding}} for encoding in ENCODINGS),
    *({"body": body} for body in BODIES),
    *({"properties": {"delivery_tag": tag}} for tag in TAGS),
    *({"headers": headers} for headers in NO_MAPPINGS[:2]),
    *({"properties": properties} for properties in (NO_MAPPINGS[0], NO_MAPPINGS[2])),
]


@pytest.mark.parametrize("changed", NO_MESSAGES)
def test_what_is_no_message_is_thrown_away_and_the_next_one_taken(
    connection: Connection, server: RedisServer, changed: dict[str, Any]
) -> None:
    """T11: kombu would end the worker, whatever queue it lies in."""
    taken: list[Message] = []
    properties = {
        "delivery_tag": "one",
        "body_encoding": "base64",
        "delivery_info": {"exchange": "", "routing_key": "q"},
    }
    message = {"body": "e30=", "content-encoding": "utf-8", "content-type": "application/json", "headers": {}}
    with redis.Redis(port=server.port) as client:
        client.lpush(f"{KEY_PREFIX}q", json.dumps(message | {"properties": properties} | changed))
        client.lpush(f"{KEY_PREFIX}q", json.dumps(message | {"properties": properties}))
    with connection.channel() as channel, Consumer(channel, [QUEUE], on_message=taken.append, accept=["json"]):
        for _ in range(3):
            if not taken:
                with suppress(TimeoutError):
                    connection.drain_events(timeout=30)
    assert [each.payload for each in taken] == [{}]


@pytest.mark.parametrize(
    "said", [{"exchange": "", "routing_key": "signing"}, {"exchange": "bound", "routing_key": "x"}, {}]
)
@pytest.mark.parametrize(
    ("queue", "home"),
    [
        (contract.COPY_QUEUE, contract.COPY_QUEUE),
        (contract.PUBLISH_QUEUE, contract.PUBLISH_QUEUE),
        (NOTED_QUEUE, contract.PUSH_QUEUE),
    ],
)
def test_a_message_that_is_given_back_goes_to_its_own_queue(
    connection: Connection, server: RedisServer, queue: str, home: str, said: dict[str, str]
) -> None:
    """T2: its sender could have a worker put it into a queue that the sender may not write to."""
    taken: list[Message] = []
    message = {"body": "e30=", "content-encoding": "utf-8", "content-type": "application/json", "headers": {}}
    properties = {"delivery_tag": "one", "body_encoding": "base64", "delivery_info": said}
    with redis.Redis(port=server.port) as client:
        client.sadd(f"{KEY_PREFIX}_kombu.binding.bound", "x\x06\x16\x06\x16signing")
        client.lpush(f"{KEY_PREFIX}{queue}", json.dumps(message | {"properties": properties}))
        with (
            connection.channel() as channel,
            Consumer(
                channel, [Queue(queue, Exchange(""), queue)], on_message=taken.append, accept=["json"]
            ) as consumer,
        ):
            connection.drain_events(timeout=30)
            consumer.cancel()
            taken[0].reject(requeue=True)
        lists = [key for key in client.scan_iter() if client.type(key) == b"list"]
    assert lists == [f"{KEY_PREFIX}{home}".encode()]


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
