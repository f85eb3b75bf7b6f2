"""The client of a broker's workers."""

from collections.abc import Callable
from typing import Final

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from tasks.coordination.ledger import HashLedger
from tasks.coordination.redis.hashes import RedisHashes
from workers.broker.app import make_app
from workers.broker.redis_client import connect
from workers.client.client import CeleryClient
from workers.settings import Settings

# A person waits for this process: a Redis that is away is told of soon.
_PATIENCE_SECONDS: Final = 5.0


def broker_client(settings: Settings, unanswered: Callable[[], None] = lambda: None) -> CeleryClient:
    """Return a client of the broker that the settings name; for `unanswered` see CeleryClient."""
    client = connect(settings, _PATIENCE_SECONDS)
    ledger = HashLedger(RedisHashes(client, settings.ledger_seconds))
    return CeleryClient(
        make_app(settings),
        ledger,
        embedded=False,
        away=(RedisError, OperationalError),
        patience=settings.outage_seconds,
        unanswered=unanswered,
    )
