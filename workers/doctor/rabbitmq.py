"""A RabbitMQ that carries messages: whether it answers, and lets this user in."""

from typing import Any, Final

from kombu import Connection
from kombu.exceptions import OperationalError

from workers.doctor.finding import Finding, fault, fine
from workers.doctor.redis_server import place_of
from workers.observability.masking import mask

_PATIENCE_SECONDS: Final = 5.0


def examine_rabbitmq(url: str) -> Finding:
    """Connect as Celery does."""
    where = f"RabbitMQ {place_of(url)}"
    connection: Any = Connection(url, connect_timeout=_PATIENCE_SECONDS)
    failures = (OperationalError, OSError, *connection.connection_errors, *connection.channel_errors)
    try:
        with connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=_PATIENCE_SECONDS)
            version = connection.connection.server_properties.get("version", "?")
    except failures as error:
        advice = "Start it, or check broker.url (IMAGEPUSHER_BROKER_URL): host, user, password and virtual host."
        return fault(
            "broker.reachable", where, f"it cannot be used: {mask(str(error)) or type(error).__name__}", advice
        )
    return fine("broker.reachable", where, f"RabbitMQ {version} answers (broker.url)")
