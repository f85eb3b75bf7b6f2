"""What INFO of a Redis means for pushes."""

from typing import Any

import pytest

from workers.doctor.finding import Level
from workers.doctor.redis_server import judge_memory, judge_persistence
from workers.settings.broker_urls import place_of


@pytest.mark.parametrize(
    ("info", "snapshots", "level", "word"),
    [
        ({"aof_enabled": 1}, "", "ok", "append-only file"),
        ({"aof_enabled": 1, "aof_last_write_status": "err"}, "", "error", "cannot be written"),
        ({"aof_enabled": 0}, "3600 1", "warning", "snapshots only"),
        ({"aof_enabled": 0}, "", "warning", "nothing on disk"),
        ({"aof_enabled": 0}, None, "warning", "may not be read"),
        ({"aof_enabled": 0, "rdb_last_bgsave_status": "err"}, "3600 1", "error", "snapshot failed"),
        ({}, "", "warning", "nothing on disk"),
    ],
)
def test_persistence_is_judged_by_what_outlives_a_restart(
    info: dict[str, Any], snapshots: str | None, level: Level, word: str
) -> None:
    finding = judge_persistence("Redis", info, snapshots)
    assert (finding.check, finding.level) == ("redis.persistence", level)
    assert word in finding.found
    assert bool(finding.advice) is (level != "ok")


def test_any_policy_but_noeviction_is_an_error() -> None:
    assert [each.level for each in judge_memory("Redis", {"maxmemory_policy": "noeviction"})] == ["ok"]
    (finding,) = judge_memory("Redis", {"maxmemory_policy": "volatile-ttl", "evicted_keys": 7})
    assert finding.level == "error"
    assert "volatile-ttl, 7 evicted" in finding.found


@pytest.mark.parametrize(("used", "most", "warned"), [(90, 100, True), (89, 100, False), (10**9, 0, False)])
def test_a_redis_that_is_nearly_full_is_a_warning(used: int, most: int, *, warned: bool) -> None:
    levels = [each.level for each in judge_memory("Redis", {"maxmemory": most, "used_memory": used})]
    assert levels == (["ok", "warning"] if warned else ["ok"])


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://127.0.0.1:6379/0", "127.0.0.1:6379/0"),
        ("rediss://someone:secret@redis.example.com:6380/1?ssl_cert_reqs=required", "redis.example.com:6380/1"),
        ("redis://:p%40ss@h/0", "h/0"),
        ("unix:///run/redis.sock?db=1", "/run/redis.sock"),
        ("unix://someone:secret@/run/redis.sock", "/run/redis.sock"),
        ("amqp://someone:secret@rabbit//", "rabbit//"),
    ],
)
def test_a_place_shows_neither_user_nor_password(url: str, place: str) -> None:
    assert place_of(url) == place
