"""Holds and histories of tags on real Redis and on a file (BEHAVIOUR 10.5, 10.6): the same words for both."""

import itertools
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import redis

from tasks.contract import Move
from tasks.coordination import tag_ledger
from tasks.coordination.hashes import Hashes
from tasks.coordination.ledger import HashLedger
from tasks.coordination.local.sqlite import FileHashes
from tasks.coordination.redis.hashes import RedisHashes
from tasks.coordination.tag_ledger import MOST_MOVES
from tasks.transfer.ports import Intervention
from tests.support.redis_server import RedisServer
from workers.ledger import open_ledger
from workers.settings import load_settings

TAG, OTHER = "b.example/app:1", "b.example/app:2"
SECONDS = 60


@pytest.fixture(params=["redis", "file"])
def hashes(request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path) -> Iterator[Hashes]:
    if request.param == "redis":
        redis_server.flush()
        with redis.Redis.from_url(redis_server.url) as client:
            yield RedisHashes(client, SECONDS)
    else:
        made = FileHashes(tmp_path / "state" / "ledger.sqlite3", SECONDS)
        yield made
        made.close()


@pytest.fixture
def ledger(hashes: Hashes) -> HashLedger:
    now = itertools.count(1)
    return HashLedger(hashes, clock=lambda: float(next(now)))


def move(number: int, push_id: str = "p", old: str | None = None) -> Move:
    return Move(
        at=float(number),
        push_id=push_id,
        action="copied",
        source=f"a.example/app:{number}",
        source_digest="sha256:s",
        old_digest=old,
        new_digest=f"sha256:{number}",
    )


def test_a_hold_is_there_until_it_is_released(ledger: HashLedger) -> None:
    assert (ledger.hold_of(TAG), ledger.holds(), ledger.release_hold(TAG)) == (None, [], None)
    first, second = ledger.hold(OTHER, "audit"), ledger.hold(TAG, "broken")
    assert (ledger.holds(), ledger.hold_of(TAG)) == ([first, second], second)
    again = ledger.hold(TAG, "still broken")
    assert ledger.release_hold(TAG) == again
    assert (ledger.hold_of(TAG), ledger.holds()) == (None, [first])


def test_interventions_in_a_tag_are_kept_beside_its_moves(ledger: HashLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ledger.hold(TAG, "audit", "alice").by == "alice"
    done = [Intervention(action="hold", user="alice", at=float(at), outcome=str(at)) for at in (9, 10, 11)]
    for each in reversed(done):
        ledger.note_tag_intervention(TAG, each)
    assert (ledger.tag_interventions(TAG), ledger.tag_interventions(OTHER), ledger.history(TAG).moves) == (done, [], [])
    monkeypatch.setattr(tag_ledger, "MOST_MOVES", 2)
    ledger.note_tag_intervention(TAG, done[2])
    assert ledger.tag_interventions(TAG) == done[1:]


def test_a_move_that_two_deliveries_note_at_once_is_one(hashes: Hashes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 10.6: one of them stood still between its look at the history and its note."""
    late, other = HashLedger(hashes), HashLedger(hashes)
    other.note_move(TAG, move(1))
    with monkeypatch.context() as before:
        before.setattr(late, "_moves", lambda _: {})
        late.note_move(TAG, move(1))
    assert len(other.history(TAG).moves) == 1
    other.note_undone(TAG, "p")
    other.note_move(TAG, move(1))
    assert [each.undone is None for each in other.history(TAG).moves] in ([True, False], [False, True])


def test_a_hold_on_redis_does_not_expire_and_a_history_lives_for_its_own_time(redis_server: RedisServer) -> None:
    redis_server.flush()
    with redis.Redis.from_url(redis_server.url) as client:
        ledger = HashLedger(RedisHashes(client, SECONDS), history_seconds=100 * SECONDS)
        ledger.hold(TAG, "audit")
        ledger.note_move(TAG, move(1))
        ledger.accept("p", {}, "task")
        assert client.ttl("imagepusher:holds") == -1
        lives = client.ttl(f"imagepusher:history:{TAG}")
        assert isinstance(lives, int)
        assert SECONDS < lives <= 100 * SECONDS


def test_commands_that_ask_the_ledger_write_for_as_long_as_the_settings_say(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """Rule 10.6: an intervention in a tag is kept as long as its moves, on Redis and in a file."""
    redis_server.flush()
    done = Intervention(action="hold", user="alice", at=time.time())
    config = tmp_path / "config.toml"
    config.write_text(f"[limits]\nledger_seconds = {SECONDS}\nhistory_seconds = {100 * SECONDS}\n")
    said = {"IMAGEPUSHER_CONFIG": str(config), "IMAGEPUSHER_STATE_DIR": str(tmp_path / "state")}
    with open_ledger(load_settings(said)) as local:
        local.note_tag_intervention(TAG, done)
    with closing(sqlite3.connect(tmp_path / "state" / "ledger.sqlite3")) as database:
        ((expires,),) = database.execute("SELECT expires FROM hashes").fetchall()
    assert SECONDS < expires - time.time() <= 100 * SECONDS
    with open_ledger(load_settings(said | {"IMAGEPUSHER_BROKER_URL": redis_server.url})) as shared:
        shared.note_tag_intervention(TAG, done)
    with redis.Redis.from_url(redis_server.url) as client:
        (key,) = client.scan_iter("*interventions*")
        lives = client.ttl(key)
    assert isinstance(lives, int)
    assert SECONDS < lives <= 100 * SECONDS


def test_a_hold_in_a_file_outlives_what_else_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = FileHashes(tmp_path / "ledger.sqlite3", SECONDS)
    ledger = HashLedger(hashes, history_seconds=100 * SECONDS)
    ledger.hold(TAG, "audit")
    ledger.note_move(TAG, move(1))
    ledger.accept("p", {}, "task")
    for later, holds, moves, known in ((0, 1, 1, 1), (2 * SECONDS, 1, 1, 0), (10**9, 1, 0, 0)):
        now = time.time() + later
        with monkeypatch.context() as patched:
            patched.setattr(time, "time", partial(float, now))
            found = (len(ledger.holds()), len(ledger.history(TAG).moves), len(ledger.pushes()))
        assert found == (holds, moves, known)
    hashes.close()


def test_moves_are_told_newest_first_each_once_and_tag_by_tag(ledger: HashLedger) -> None:
    for each in (move(1), move(2, "q", "sha256:1"), move(1), move(2, "q", "sha256:1")):
        ledger.note_move(TAG, each)
    ledger.note_move(OTHER, move(3))
    assert [found.at for found in ledger.history(TAG).moves] == [2.0, 1.0]
    assert ledger.history(OTHER).moves == [move(3)]
    assert ledger.source_of(TAG, "sha256:1") == "a.example/app:1"
    assert ledger.source_of(TAG, "sha256:3") is None


def test_an_undo_marks_the_moves_of_its_push_and_the_same_push_may_move_the_tag_again(ledger: HashLedger) -> None:
    ledger.note_move(TAG, move(1, "p"))
    ledger.note_move(TAG, move(2, "q", "sha256:1"))
    ledger.note_undone(TAG, "q")
    ledger.note_move(TAG, move(2, "q", "sha256:1"))
    moves = ledger.history(TAG).moves
    assert sorted((found.push_id, found.undone is not None) for found in moves) == [
        ("p", False),
        ("q", False),
        ("q", True),
    ]


def test_a_history_is_bounded(ledger: HashLedger) -> None:
    for number in range(1, MOST_MOVES + 4):
        ledger.note_move(TAG, move(number))
    moves = ledger.history(TAG).moves
    assert (len(moves), moves[0].at, moves[-1].at) == (MOST_MOVES, float(MOST_MOVES + 3), 4.0)
