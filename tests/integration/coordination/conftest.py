"""The application of a worker, on a database of the shared Redis that no worker serves."""

from collections.abc import Iterator

import pytest
import redis
from celery import Celery

from tests.support.redis_server import RedisServer
from workers.broker.app import make_app
from workers.settings import load_settings

_DATABASE = 5


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """Return a client of the database, which is empty."""
    with redis.Redis(port=redis_server.port, db=_DATABASE) as made:
        made.flushdb()
        yield made


@pytest.fixture
def app(redis_server: RedisServer) -> Celery:
    url = f"{redis_server.url.removesuffix('/0')}/{_DATABASE}"
    return make_app(load_settings({"IMAGEPUSHER_BROKER_URL": url}))
