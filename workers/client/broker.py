"""The client of a broker's workers."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from tasks.coordination.ledger import HashLedger
from tasks.coordination.redis.hashes import RedisHashes
from workers.broker.app import make_app
from workers.broker.redis_client import connect
from workers.client.client import CeleryClient
from workers.settings import Settings

# A person waits for this process: report an unreachable Redis soon.
_PATIENCE_SECONDS: Final = 5.0
_MAKING: Final = threading.Lock()
_apps: Final[dict[tuple[Any, ...], Celery]] = {}


@contextmanager
def broker_client(settings: Settings, unanswered: Callable[[], None] = lambda: None) -> Iterator[CeleryClient]:
    """Yield a client of the broker that the settings name; for `unanswered` see CeleryClient."""
    with closing(connect(settings, _PATIENCE_SECONDS)) as redis:
        yield CeleryClient(
            _app_of(settings),
            HashLedger(RedisHashes(redis, settings.ledger_seconds)),
            drops_passwords=settings.drop_passwords,
            away=(RedisError, OperationalError),
            patience=settings.outage_seconds,
            unanswered=unanswered,
        )


def _app_of(settings: Settings) -> Celery:
    """Return the application of a broker, shared by all clients of this process: kombu never closes its connections."""
    key = (settings.broker_url, settings.result_url, settings.visibility_seconds, settings.trust.signer)
    with _MAKING:
        if key not in _apps:
            _apps[key] = make_app(settings)
        return _apps[key]
