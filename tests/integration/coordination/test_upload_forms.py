"""What registries refuse of uploads, shared through Redis (BEHAVIOUR 5.6)."""

from collections.abc import Iterator

import fakeredis
import pytest
import redis

from tasks.coordination.redis.upload_forms import RedisUploadForms
from tasks.registry.upload_forms import Refused
from tests.support.redis_server import RedisServer

HOST = "registry.example"


@pytest.fixture(params=["redis", "embedded"])
def client(request: pytest.FixtureRequest, redis_server: RedisServer) -> Iterator[redis.Redis]:
    if request.param == "redis":
        with redis.Redis.from_url(f"{redis_server.url.removesuffix('/0')}/8") as made:
            made.flushdb()
            yield made
    else:
        with fakeredis.FakeRedis(server=fakeredis.FakeServer()) as made:
            yield made


def test_one_worker_tells_all_others(client: redis.Redis) -> None:
    first, second = RedisUploadForms(client, "p:"), RedisUploadForms(client, "p:")
    first.note(HOST, Refused(put=0))
    assert second.refused(HOST) == Refused(put=0)
    second.note(HOST, Refused(part_bytes=1000))
    third = RedisUploadForms(client, "p:")
    assert third.refused(HOST) == Refused(put=0, part_bytes=1000)
    assert third.refused("other.example") == Refused()
    assert 0 < client.ttl("p:uploads:registry.example") <= 86_400


def test_a_worker_looks_again_after_a_while(client: redis.Redis) -> None:
    now = 0.0
    early = RedisUploadForms(client, "p:", lambda: now)
    assert early.refused(HOST) == Refused()
    RedisUploadForms(client, "p:").note(HOST, Refused(put=0))
    assert early.refused(HOST) == Refused()
    now = 31.0
    assert early.refused(HOST) == Refused(put=0)


def test_without_redis_a_worker_knows_what_it_met_itself() -> None:
    with redis.Redis(port=1) as away:
        forms = RedisUploadForms(away, "p:")
        forms.note(HOST, Refused(put=0))
        assert forms.refused(HOST) == Refused(put=0)
