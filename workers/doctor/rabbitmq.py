"""The checks of a RabbitMQ broker: it answers, accepts this user, and takes messages."""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from amqp.exceptions import PreconditionFailed
from kombu.exceptions import OperationalError

from workers.broker.app import make_app
from workers.doctor.finding import Finding, fault, fine
from workers.observability.masking import mask
from workers.settings import Settings
from workers.settings.broker_urls import place_of

_PATIENCE_SECONDS: Final = 5.0
# No queue is bound to this key: the exchange accepts the message and drops it.
_NOWHERE: Final = "imagepusher.doctor"


def examine_rabbitmq(settings: Settings) -> Iterator[Finding]:
    """Connect, declare the exchange and queues, and publish, as workers and producers do."""
    app = make_app(settings)
    url = settings.broker_url or ""
    where = f"RabbitMQ {place_of(url)}"
    blocked: list[str] = []
    options = {"on_blocked": blocked.append, "confirm_publish": True}
    connection: Any = app.connection_for_write(connect_timeout=_PATIENCE_SECONDS, transport_options=options)
    failures = (OperationalError, OSError, *connection.connection_errors, *connection.channel_errors)
    with connection:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=_PATIENCE_SECONDS)
            established = connection.connection
            version = established.server_properties.get("version", "?")
        except failures as error:
            advice = "Start it, or check broker.url (IMAGEPUSHER_BROKER_URL): host, user, password and virtual host."
            yield fault("broker.reachable", where, f"it cannot be used: {_said(error)}", advice)
            return
        yield fine("broker.reachable", where, f"RabbitMQ {version} answers (broker.url)")
        try:
            _send(connection, list(app.amqp.queues.values()))
        except failures as error:
            yield _judge_refusal(where, urlsplit(url).username or "guest", error, blocked=bool(blocked))
            # RabbitMQ does not read from a blocked connection: it would not answer a close either.
            established.collect()
            return
        yield fine("broker.writable", where, "exchange and queues are declared, and it takes messages")


def _send(connection: Any, queues: list[Any]) -> None:
    channel = connection.channel()
    for queue in queues:
        queue.bind(channel).declare()
    producer = connection.Producer(channel)
    # A node in alarm takes the first message of a connection, then blocks it: the second message is never confirmed.
    for _ in range(2):
        producer.publish("", exchange=queues[0].exchange, routing_key=_NOWHERE, confirm_timeout=_PATIENCE_SECONDS)


def _judge_refusal(where: str, user: str, error: Exception, *, blocked: bool) -> Finding:
    check = "broker.writable"
    if blocked:
        found = "it blocks whoever publishes: it is short of memory or disk"
        return fault(check, where, found, "Give it more of either; `rabbitmq-diagnostics alarms` tells which it lacks.")
    if isinstance(error, PreconditionFailed):
        advice = "It has them with other arguments: delete them once they are empty, or let broker.url name another."
        return fault(check, where, f"it refuses exchange or queues: {_said(error)}", advice)
    advice = (
        f"Let the user of broker.url declare, write and read there: rabbitmqctl set_permissions -p VHOST {user} "
        "'.*' '.*' '.*'"
    )
    return fault(check, where, f"it does not take a message: {_said(error)}", advice)


def _said(error: Exception) -> str:
    return mask(str(error)) or type(error).__name__
