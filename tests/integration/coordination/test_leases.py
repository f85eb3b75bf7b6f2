"""Tag locks and single flight on real Redis, and on the one inside the process."""

import threading
from collections.abc import Iterator

import fakeredis
import pytest
import redis

from tasks.coordination.leases import LeasedSingleFlight, LeasedTagLocks, Leases
from tasks.coordination.locations import RedisBlobLocations
from tasks.errors import LockLost, LockUnavailable
from tests.support.redis_server import RedisServer


@pytest.fixture(params=["redis", "embedded"])
def client(request: pytest.FixtureRequest, redis_server: RedisServer) -> Iterator[redis.Redis]:
    if request.param == "redis":
        redis_server.flush()
        with redis.Redis.from_url(redis_server.url) as made:
            yield made
    else:
        with fakeredis.FakeRedis(server=fakeredis.FakeServer()) as made:
            yield made


def test_a_tag_is_held_by_one_push_at_a_time(client: redis.Redis) -> None:
    """Rule 7.1."""
    held, others = LeasedTagLocks(Leases(client, 30), "i:", 5), LeasedTagLocks(Leases(client, 30), "i:", 0.1)
    with held.hold("b/x:1"), pytest.raises(LockUnavailable, match="b/x:1"), others.hold("b/x:1"):
        pass
    with others.hold("b/x:1") as lock:
        lock.ensure()


def test_a_lock_that_is_gone_is_noticed_before_the_write(client: redis.Redis) -> None:
    with LeasedTagLocks(Leases(client, 30), "i:", 5).hold("b/x:1") as lock:
        lock.ensure()
        client.delete("i:tag:b/x:1")
        with pytest.raises(LockLost, match="b/x:1"):
            lock.ensure()


def test_a_lock_that_another_took_over_is_not_released(client: redis.Redis) -> None:
    with LeasedTagLocks(Leases(client, 30), "i:", 5).hold("b/x:1") as lock:
        client.set("i:tag:b/x:1", "another's token")
        with pytest.raises(LockLost):
            lock.ensure()
    assert client.get("i:tag:b/x:1") == b"another's token"


def test_a_lease_is_renewed_while_it_is_held(client: redis.Redis) -> None:
    leases = Leases(client, 0.6)
    renewed = threading.Event()
    with leases.hold("i:k", "The key", 1) as lease:
        original = lease.renew

        def renew() -> None:
            original()
            renewals.append(client.pttl("i:k"))
            if len(renewals) == 6:
                renewed.set()

        renewals: list[object] = []
        lease.renew = renew  # type: ignore[method-assign]
        assert renewed.wait(20)
        lease.ensure()


def test_a_dead_holder_frees_the_others_when_its_lease_ends(client: redis.Redis) -> None:
    client.set("i:flight:b:sha256:a", "a token whose process died", px=300)
    with LeasedSingleFlight(Leases(client, 30), "i:", 10).lead("b", "sha256:a"):
        pass


def test_one_task_at_a_time_moves_a_blob(client: redis.Redis) -> None:
    """Rule 5.4."""
    flights = LeasedSingleFlight(Leases(client, 30), "i:", 30)
    moving, most = 0, 0
    lock = threading.Lock()

    def move() -> None:
        nonlocal moving, most
        with flights.lead("b", "sha256:a"):
            with lock:
                moving += 1
                most = max(most, moving)
            threading.Event().wait(0.01)
            with lock:
                moving -= 1

    threads = [threading.Thread(target=move) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_blob_locations_are_hints_that_can_be_forgotten(client: redis.Redis) -> None:
    locations = RedisBlobLocations(client, "i:")
    assert list(locations.repositories("b", "sha256:a")) == []
    locations.add("b", "sha256:a", "x")
    locations.add("b", "sha256:a", "y")
    assert sorted(locations.repositories("b", "sha256:a")) == ["x", "y"]
    assert list(locations.repositories("other", "sha256:a")) == []
    locations.forget("b", "sha256:a", "x")
    assert list(locations.repositories("b", "sha256:a")) == ["y"]
