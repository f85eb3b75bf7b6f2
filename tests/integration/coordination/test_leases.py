"""Tag locks and single flight on real Redis, and on the one inside the process."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, cast

import fakeredis
import pytest
import redis

from tasks.coordination.redis.leases import Leases
from tasks.coordination.redis.locations import RedisBlobLocations
from tasks.coordination.redis.part_locks import LeasedRuns
from tasks.coordination.redis.single_flight import LeasedSingleFlight
from tasks.coordination.redis.tag_locks import LeasedTagLocks
from tasks.errors import LockLost, LockUnavailable, PartBusy
from tasks.transfer.ports import TagRecord, Written
from tests.support.redis_server import RedisServer
from tests.support.tag_notes import check_notes_of_a_writer_that_stood_still, check_notes_of_others


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
    renewals: list[object] = []
    renewed = threading.Event()

    def pulse() -> None:
        renewals.append(client.pttl("i:k"))
        if len(renewals) == 4:
            renewed.set()

    with Leases(client, 3).hold("i:k", "The key", 1, pulse=pulse) as lease:
        assert renewed.wait(300)
        lease.ensure()


def test_a_lost_lease_is_neither_renewed_nor_taken_again(client: redis.Redis) -> None:
    """Whoever holds the tag by then keeps it; the other leases of the process are renewed."""
    leases, lost, renewed = Leases(client, 3), threading.Event(), threading.Event()
    with (
        leases.hold("i:free", "One", 1, pulse=lost.set) as free,
        leases.hold("i:taken", "Another", 1, pulse=lost.set) as taken,
        leases.hold("i:k", "The key", 1, pulse=renewed.set) as lease,
    ):
        client.delete("i:free")
        client.set("i:taken", "another's token")
        for _ in range(2):
            lost.clear()
            renewed.clear()
            assert renewed.wait(300)
        assert not lost.is_set()
        assert (client.get("i:free"), client.get("i:taken")) == (None, b"another's token")
        lease.ensure()
        for each in (free, taken):
            with pytest.raises(LockLost):
                each.ensure()


def test_all_leases_of_a_process_are_renewed_with_one_request(redis_server: RedisServer) -> None:
    """Rule 10.1: a release of many tags keeps all of their locks, however far away Redis is."""
    redis_server.flush()
    rounds: list[int] = []
    renewed = threading.Event()
    with redis.Redis.from_url(redis_server.url) as client, ExitStack() as stack:
        leases = Leases(client, 3)

        def pulse() -> None:
            rounds.append(int(cast("Any", client.info("commandstats"))["cmdstat_evalsha"]["calls"]))
            if len(rounds) == 4:
                renewed.set()

        stack.enter_context(leases.hold("i:first", "The first", 1, pulse=pulse))
        held = [stack.enter_context(leases.hold(f"i:{number}", f"{number}", 1)) for number in range(200)]
        assert renewed.wait(300)
        for lease in held:
            lease.ensure()
    assert [later - before for before, later in itertools.pairwise(rounds)][:3] == [1, 1, 1]


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


def test_who_leads_may_let_the_next_one_begin(client: redis.Redis) -> None:
    """Rule 5.4: and harms nobody by ending later."""
    flights = LeasedSingleFlight(Leases(client, 30), "i:", 5)
    with flights.lead("b", "sha256:a") as let_go:
        let_go()
        with flights.lead("b", "sha256:a"):
            let_go()
            assert client.exists("i:flight:b:sha256:a")
    assert not client.exists("i:flight:b:sha256:a")


def test_blob_locations_are_hints_that_can_be_forgotten(client: redis.Redis) -> None:
    locations = RedisBlobLocations(client, "i:")
    assert list(locations.repositories("b", "sha256:a")) == []
    locations.add("b", "sha256:a", "x")
    locations.add("b", "sha256:a", "y")
    assert sorted(locations.repositories("b", "sha256:a")) == ["x", "y"]
    assert list(locations.repositories("other", "sha256:a")) == []
    locations.forget("b", "sha256:a", "x")
    assert list(locations.repositories("b", "sha256:a")) == ["y"]


def runs_on(client: redis.Redis, touched: list[str], wait_seconds: float = 0.1) -> LeasedRuns:
    return LeasedRuns(Leases(client, 30), "i:", wait_seconds, touched.append)


def test_one_delivery_at_a_time_works_on_a_part(client: redis.Redis) -> None:
    """Rule 7.3."""
    runs = runs_on(client, [])
    with runs.hold("p", "sha256:a"):
        assert runs.is_held("p", "sha256:a")
        assert not runs.is_held("p", "publish")
        with pytest.raises(PartBusy, match="sha256:a of the push p"), runs.hold("p", "sha256:a"):
            pass
        with runs.hold("p", "publish"), runs.hold("other", "sha256:a"):
            pass
    assert not runs.is_held("p", "sha256:a")


def test_one_part_of_any_push_is_worked_on_alone(client: redis.Redis) -> None:
    runs = runs_on(client, [])
    with runs.alone("p"), pytest.raises(PartBusy), runs.alone("other"):
        pass
    with runs.alone("other"):
        pass


def test_a_part_that_is_worked_on_is_seen_to_be_alive(client: redis.Redis) -> None:
    """Rule 7.5: the watchdog leaves alone what somebody works on, however long that takes."""
    heard = threading.Event()
    with LeasedRuns(Leases(client, 0.3), "i:", 1, lambda _: heard.set()).hold("p", "sha256:a"):
        assert heard.wait(300)


def test_what_was_written_last_is_known_to_the_next_that_holds_the_tag(client: redis.Redis) -> None:
    """Rule 7.6: a writer that stood still learns that others wrote meanwhile, and gets the bytes of that."""
    locks = LeasedTagLocks(Leases(client, 30), "i:", 5)
    first, second = (Written(f"sha256:{name}", "application/json", b"{\n}\n") for name in "ab")
    with locks.hold("b/x:1") as late:
        assert late.record() == TagRecord()
        late.note_writing(first.digest, None)
    with locks.hold("b/x:1") as lock:
        lock.note_writing(second.digest, None)
        lock.note_written(second)
    with locks.hold("b/x:1") as lock, locks.hold("b/x:2") as other:
        record = lock.record()
        assert record == TagRecord(second.digest, {first.digest: frozenset({None})})
        assert record.overwritten_by(first.digest) == second.digest
        assert (lock.kept(second.digest), lock.kept(first.digest)) == (second, None)
        assert (other.record(), other.kept(second.digest)) == (TagRecord(), None)
    assert all(client.ttl(key) > 0 for key in client.keys("*"))


def test_what_others_wrote_is_noted_unless_a_push_wrote_since(client: redis.Redis) -> None:
    with LeasedTagLocks(Leases(client, 30), "i:", 5).hold("b/x:1") as lock:
        check_notes_of_others(lock)
    assert all(client.ttl(key) > 0 for key in client.keys("*"))


def test_a_writer_that_stood_still_does_not_replace_the_note_of_a_later_one(client: redis.Redis) -> None:
    with LeasedTagLocks(Leases(client, 30), "i:", 5).hold("b/x:1") as lock:
        check_notes_of_a_writer_that_stood_still(lock)
    assert all(client.ttl(key) > 0 for key in client.keys("*"))
