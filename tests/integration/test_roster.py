"""The roster: workers are in it while they serve, and nobody else is."""

import time
from collections.abc import Iterator
from importlib.metadata import version

import pytest
import redis

from tests.support.processes import wait_until
from tests.support.redis_server import RedisServer
from tests.support.workers import running_worker
from workers.process import roster
from workers.process.roster import Roster, read_roster


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port) as connected:
        yield connected


def names(client: redis.Redis) -> list[str]:
    return [worker.name for worker in read_roster(client)]


def test_a_worker_is_in_the_roster_from_when_it_is_ready_until_it_is_told_to_stop(
    server: RedisServer, client: redis.Redis
) -> None:
    started = time.time()
    with running_worker(
        {"IMAGEPUSHER_BROKER_URL": server.url}, ["--name", "one@here", "--queues", "push,copy"]
    ) as worker:
        wait_until(lambda: bool(read_roster(client)), "the worker did not tell of itself")
        (entry,) = read_roster(client)
        assert (entry.name, entry.pid, entry.version) == ("one@here", worker.pid, version("imagepusher"))
        assert entry.queues == ["imagepusher.push", "imagepusher.copy"]
        assert started - 1 < entry.started <= entry.time
        assert abs(entry.skew) <= time.time() - started
        worker.process.terminate()
        wait_until(lambda: not read_roster(client), "the worker did not leave")


def test_a_worker_tells_of_itself_again_and_again(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "_BEAT_SECONDS", 0.01)
    member = Roster(client, "one@here", [])
    member.start()
    wait_until(lambda: bool(read_roster(client)), "nothing was told")
    first = read_roster(client)[0].seen
    wait_until(lambda: read_roster(client)[0].seen > first, "it was told once only")
    member.stop()
    wait_until(lambda: not names(client), "the worker did not leave")


def test_who_has_not_told_for_long_is_gone_and_forgotten_by_whoever_joins(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    Roster(client, "killed@there", []).tell()
    assert names(client) == ["killed@there"]
    monkeypatch.setattr(roster, "_GONE_SECONDS", 0.0)
    time.sleep(0.01)
    assert names(client) == []
    assert client.hlen("imagepusher:workers") == 1
    member = Roster(client, "new@there", [])
    member.start()
    wait_until(lambda: client.hkeys("imagepusher:workers") == [b"new@there"], "the one that is gone was not forgotten")
    member.stop()
    wait_until(lambda: not client.hlen("imagepusher:workers"), "the worker did not leave")


def test_a_redis_that_is_away_ends_nothing(
    server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "_BEAT_SECONDS", 0.01)
    member = Roster(client, "one@here", [])
    member.start()
    wait_until(lambda: bool(names(client)), "nothing was told")
    server.kill()
    server.restart()
    wait_until(lambda: names(client) == ["one@here"], "nothing was told after Redis came back empty")
    member.stop()
    wait_until(lambda: not names(client), "the worker did not leave")


def test_skew_is_how_far_a_clock_is_ahead_of_that_of_redis(client: redis.Redis) -> None:
    started = time.time()
    Roster(client, "fast@there", [], clock=lambda: time.time() + 1000).tell()
    (entry,) = read_roster(client)
    assert entry.skew == pytest.approx(1000, abs=time.time() - started)


def test_an_entry_that_is_none_is_passed_over_and_the_roster_expires(client: redis.Redis) -> None:
    client.hset("imagepusher:workers", "other@there", "{}")
    Roster(client, "one@here", []).tell()
    assert names(client) == ["one@here"]
    assert 0 < client.ttl("imagepusher:workers") <= 86_400
